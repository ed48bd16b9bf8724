"""The stages with their pictures on the device, from align to paste.

Decisions are those of the stages beside this package: which crop a face is worth, which neighbours
are averaged, how strength is lowered. What differs is the arithmetic of pictures. It is done in
torch, for many faces at once; of a frame only the neighbourhood of a face goes up, and only the
changed part comes down.

Crops are `DeviceCrop`. Any stage that wants numpy may ask for their `image`, which is fetched then;
and any crop in numpy goes up when a stage here wants it. So both kinds can follow each other.
"""
