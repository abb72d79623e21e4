"""Faces, their splits, and their sources, one module per source.

faces: the faces that the study reads, and prepared faces on disk.
sources: reads a source by name. csv, folder, kaggle and sample are the sources.
packing, layout: names of files and folders. votes: FER+ votes. drawing: drawn faces.

The audits in `fer_utils.audits` find faults in the data.
"""
