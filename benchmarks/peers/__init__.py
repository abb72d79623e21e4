"""What peer.py compares with: packages that recognise facial expressions and carry their weights.

environments: the peers, and an environment for each.
networks: each network on the images of FER-2013, and the paired comparison with ours.
photos: each whole pipeline on photos: its faces and its times.
tables: the comparison as Markdown.

Three programs run in the peers' own environments: `classify.py` in those of fer and facex,
`face_api.cjs` in that of face-api.js, and, for photos, `contenders.py` of the folder above.
"""
