// The entry in Shotcut's list of filters. Shotcut reads it from share/shotcut/qml/filters/crsr.
import QtQuick 2.0
import org.shotcut.qml 1.0

Metadata {
    type: Metadata.Filter
    name: qsTr('Enhance Faces')
    keywords: qsTr('face restore sharpen denoise super resolution', 'search keywords') + ' crsr enhance faces'
    mlt_service: 'frei0r.crsr'
    objectName: 'crsr'
    qml: 'ui.qml'
}
