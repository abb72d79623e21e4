"""Photos that public packages carry, and the faces in them. The photos themselves are not here.

photos.csv: one row for each photo: its name, the package that carries it with its version and kind,
the path inside the archive, and the file's SHA-256, width and height.
faces.csv: one row for each face: its box in pixels of the upright photo, and its view.
truth: reads and checks the two tables.
fetch: gets the photos from the packages.

A face is that of a photographed person, at least 24 pixels wide, with at least half of it visible.
Faces in pictures on walls and those of animals are none. The box extends from the hairline, which
is estimated below a fringe, to the chin, and from cheek to cheek without the ears; in profile,
to the tip of the nose. The first of these views that fits is taken:

- hidden: the photo's edge cuts the face off, or something covers an eye or the mouth.
- turned: the bridge of the nose divides the box's width 1 to 2 or more unequally, or the line of
  the eyes is inclined by 20 degrees or more.
- frontal: all others.

YuNet and the Haar cascade proposed boxes, YuNet from a score of 0.3 on. Every photo was then looked
at, every face enlarged, and all boxes were drawn anew by hand. All proposals of YuNet below 0.7
were no faces by this rule, and no face was without a proposal.
"""
