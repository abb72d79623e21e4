// Places for the labels of faces: clear of the faces and of each other, as far as there is room.

const GAP = 0.2; // heights of a label between it and its box
const KEPT = 0.15; // share of a label's area by which another place must be better
const MANY_SHORT = 0.25; // share of short labels above which all are short, to look alike

/**
 * A place for each label: { x, y, short }, its upper left corner in pixels of the picture.
 *
 * `boxes` are { x, y, width, height }. `sizes` are those of the labels, each
 * { width, height, short }, with the width `short` of a shortened label. A short label is used where
 * the whole one would cover a face or another label and the short one covers less. If many are
 * short, all are. `before` are the places of the last frame: a label moves only to a clearly better
 * place.
 */
export function placeLabels(boxes, sizes, picture, before = []) {
  const places = spread(boxes, sizes, picture, before, false);
  const shortened = places.filter(({ short }) => short).length;
  if (shortened <= MANY_SHORT * places.length) return places;
  return spread(boxes, sizes, picture, before, true);
}

function spread(boxes, sizes, picture, before, allShort) {
  const placed = [];
  const places = new Array(boxes.length);
  // Boxes with many neighbours come first: their labels have the fewest places.
  const crowds = boxes.map((_, index) => crowd(boxes, index));
  const order = boxes.map((_, index) => index);
  order.sort((one, other) => crowds[other] - crowds[one] || one - other);
  for (const index of order) {
    const { width, height, short } = sizes[index];
    const best = (shortened) => {
      const label = { width: shortened ? short : width, height };
      const weighed = candidates(boxes[index], label, picture).map((spot, place) => {
        const area = { ...spot, ...label };
        const stays = before[index]?.place === place && before[index].short === shortened;
        const kept = stays ? KEPT * label.width * height : 0;
        return { area, place, short: shortened, cost: coverage(area, boxes, index, placed) - kept };
      });
      return weighed.reduce((least, spot) => (spot.cost < least.cost - 1e-6 ? spot : least));
    };
    let chosen = best(allShort);
    if (chosen.cost > 0 && !allShort && short < width) {
      const shortened = best(true);
      if (shortened.cost < chosen.cost) chosen = shortened;
    }
    placed.push(chosen.area);
    places[index] = { ...chosen, x: chosen.area.x, y: chosen.area.y };
  }
  return places;
}

/** The places of one label in the order of preference, within the picture. */
function candidates(box, label, picture) {
  const gap = GAP * label.height;
  const right = box.x + box.width - label.width;
  const middle = box.x + (box.width - label.width) / 2;
  const above = box.y - label.height - gap;
  const below = box.y + box.height + gap;
  const foot = box.y + box.height - label.height - gap;
  const spots = [
    [box.x, above], [right, above], [middle, above],
    [box.x, below], [right, below], [middle, below],
    [box.x + box.width + gap, box.y], [box.x - label.width - gap, box.y],
    [box.x + box.width + gap, foot], [box.x - label.width - gap, foot],
    [middle, foot], [middle, box.y + gap], // inside, over the chin or the forehead
  ];
  return spots.map(([x, y]) => ({
    x: Math.max(0, Math.min(x, picture.width - label.width)),
    y: Math.max(0, Math.min(y, picture.height - label.height)),
  }));
}

/** What a label would cover, in square pixels. Another label counts double: both are unreadable. */
function coverage(label, boxes, own, placed) {
  const ofFaces = boxes.reduce((sum, box, index) => {
    return sum + (index === own ? overVisage(label, box) : common(label, box));
  }, 0);
  return ofFaces + 2 * placed.reduce((sum, other) => sum + common(label, other), 0);
}

/** Over its own face, a label at the edge covers less of eyes and mouth than one in the middle. */
function overVisage(label, box) {
  const inner = {
    x: box.x + 0.15 * box.width,
    y: box.y + 0.2 * box.height,
    width: 0.7 * box.width,
    height: 0.65 * box.height,
  };
  return 0.5 * common(label, box) + common(label, inner);
}

function common(one, other) {
  const across = Math.min(one.x + one.width, other.x + other.width) - Math.max(one.x, other.x);
  const down = Math.min(one.y + one.height, other.y + other.height) - Math.max(one.y, other.y);
  return Math.max(0, across) * Math.max(0, down);
}

/** How many other faces are near a face. */
function crowd(boxes, index) {
  const { x, y, width, height } = boxes[index];
  const around = { x: x - width, y: y - height, width: 3 * width, height: 3 * height };
  return boxes.filter((box, other) => other !== index && common(around, box) > 0).length;
}
