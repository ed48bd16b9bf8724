// The controls of the filter. MLT knows the parameters by these numbers.
import QtQuick 2.12
import QtQuick.Controls 2.12
import QtQuick.Layouts 1.12
import Shotcut.Controls 1.0 as Shotcut

Item {
    readonly property string strength: '0'
    readonly property string minFace: '1'
    readonly property string model: '2'
    readonly property string compare: '3'
    readonly property string debug: '4'
    readonly property string tracks: '5'
    readonly property string persons: '6'
    readonly property string head: '7'
    // Width in pixels of a face for which the parameter is 1.
    readonly property int facePixels: 256
    property bool blocked: true

    function setDefaults() {
        filter.set(strength, 1);
        filter.set(minFace, 16 / facePixels);
        filter.set(model, 'fast');
        filter.set(compare, 0);
        filter.set(debug, 0);
        filter.set(tracks, '');
        filter.set(persons, '');
        filter.set(head, 0);
    }

    function setControls() {
        blocked = true;
        strengthSlider.value = filter.getDouble(strength) * strengthSlider.maximumValue;
        minFaceSlider.value = filter.getDouble(minFace) * facePixels;
        modelCombo.currentIndex = Math.max(0, modelCombo.values.indexOf(filter.get(model)));
        compareBox.checked = filter.getDouble(compare) >= 0.5;
        debugBox.checked = filter.getDouble(debug) >= 0.5;
        tracksField.text = filter.get(tracks);
        personsField.text = filter.get(persons);
        headBox.checked = filter.getDouble(head) >= 0.5;
        blocked = false;
    }

    function setValue(name, value) {
        if (!blocked)
            filter.set(name, value);
    }

    width: 350
    height: 290
    Component.onCompleted: {
        if (filter.isNew) {
            setDefaults();
            filter.savePreset(preset.parameters);
        }
        setControls();
    }

    GridLayout {
        anchors.fill: parent
        anchors.margins: 8
        columns: 3

        Label {
            text: qsTr('Preset')
            Layout.alignment: Qt.AlignRight
        }

        Shotcut.Preset {
            id: preset

            parameters: [strength, minFace, model, compare, debug, tracks, persons, head]
            Layout.columnSpan: 2
            onPresetSelected: setControls()
        }

        Label {
            text: qsTr('Strength')
            Layout.alignment: Qt.AlignRight
        }

        Shotcut.SliderSpinner {
            id: strengthSlider

            minimumValue: 0
            maximumValue: 100
            suffix: ' %'
            onValueChanged: setValue(strength, value / maximumValue)
        }

        Shotcut.UndoButton {
            onClicked: strengthSlider.value = 100
        }

        Label {
            text: qsTr('Smallest face')
            Layout.alignment: Qt.AlignRight
        }

        Shotcut.SliderSpinner {
            id: minFaceSlider

            minimumValue: 0
            maximumValue: facePixels
            suffix: ' px'
            onValueChanged: setValue(minFace, value / facePixels)
        }

        Shotcut.UndoButton {
            onClicked: minFaceSlider.value = 16
        }

        Label {
            text: qsTr('Model')
            Layout.alignment: Qt.AlignRight
        }

        Shotcut.ComboBox {
            id: modelCombo

            property var values: ['fast']

            implicitWidth: 180
            model: [qsTr('Fast')]
            onActivated: setValue('2', values[currentIndex])
        }

        Shotcut.UndoButton {
            onClicked: {
                modelCombo.currentIndex = 0;
                setValue('2', modelCombo.values[0]);
            }
        }

        Label {
        }

        CheckBox {
            id: headBox

            text: qsTr('Enhance the whole head')
            Layout.columnSpan: 2
            onToggled: setValue(head, checked ? 1 : 0)
        }

        Label {
        }

        CheckBox {
            id: compareBox

            text: qsTr('Compare: left half before, right half after')
            Layout.columnSpan: 2
            onToggled: setValue(compare, checked ? 1 : 0)
        }

        Label {
        }

        CheckBox {
            id: debugBox

            text: qsTr('Show detected faces')
            Layout.columnSpan: 2
            onToggled: setValue(debug, checked ? 1 : 0)
        }

        Label {
            text: qsTr('Tracks file')
            Layout.alignment: Qt.AlignRight
        }

        TextField {
            id: tracksField

            placeholderText: qsTr('written by crsr-video tracks for this clip')
            selectByMouse: true
            Layout.columnSpan: 2
            Layout.fillWidth: true
            onEditingFinished: setValue(tracks, text)
        }

        Label {
            text: qsTr('Persons')
            Layout.alignment: Qt.AlignRight
        }

        TextField {
            id: personsField

            placeholderText: qsTr('everybody, or track IDs such as 1,4')
            selectByMouse: true
            Layout.columnSpan: 2
            Layout.fillWidth: true
            onEditingFinished: setValue(persons, text)
        }

        Item {
            Layout.fillHeight: true
        }
    }
}
