"""nnU-Net: folds, raw datasets and softmax files, read and written."""
