// From one picture to the next when its axes are fitted anew: what is seen turns over, as a body does, and then gives way
// to what is new about it. Horn, "Closed-form solution of absolute orientation using unit quaternions" (1987).
import { wantsStillness } from "./motion.js";

const MILLISECONDS = 180;
const STEPS = 60; // of the power iteration for the largest of four eigenvalues

// Draws pictures between two: show(picture) draws one, isNewest() tells whether it is still wanted.
export async function turnOver(before, after, axes, show, isNewest) {
  const shared = placesOfShared(before.rows, after.rows);
  if (shared.length < 2 || wantsStillness()) return;
  const columns = (picture) => axes.map((axis) => picture.column(axis));
  const [old, fresh] = [columns(before), columns(after)];
  const middles = [old.map((column) => meanAt(column, shared, 0)), fresh.map((column) => meanAt(column, shared, 1))];
  const turn = turnBetween(old, fresh, middles, shared);
  const start = performance.now();
  for (let share = 0.15; share < 1 && isNewest(); share = (performance.now() - start) / MILLISECONDS) {
    const eased = share * share * (3 - 2 * share);
    await show(between(before, after, axes, { old, fresh, middles, turn, shared, eased }));
    await new Promise((done) => requestAnimationFrame(done));
  }
}

// Pairs [place before, place after] of the checkpoints that both pictures show.
function placesOfShared(before, after) {
  const places = new Map(Array.from(before, (row, place) => [row, place]));
  return Array.from(after, (row, place) => [places.get(row), place]).filter(([place]) => place !== undefined);
}

function meanAt(column, shared, which) {
  return shared.reduce((sum, places) => sum + column[places[which]], 0) / shared.length;
}

// The angle and the axis, a unit vector, of the rotation that brings the old places closest to the new ones.
function turnBetween(old, fresh, middles, shared) {
  const point = (columns, middle, place) => [0, 1, 2].map((k) => (k < columns.length ? columns[k][place] - middle[k] : 0));
  const M = [0, 1, 2].map(() => [0, 0, 0]);
  for (const [from, to] of shared) {
    const [one, other] = [point(old, middles[0], from), point(fresh, middles[1], to)];
    for (let i = 0; i < 3; i++) for (let j = 0; j < 3; j++) M[i][j] += one[i] * other[j];
  }
  const [[xx, xy, xz], [yx, yy, yz], [zx, zy, zz]] = M;
  const N = [
    [xx + yy + zz, yz - zy, zx - xz, xy - yx],
    [yz - zy, xx - yy - zz, xy + yx, zx + xz],
    [zx - xz, xy + yx, yy - xx - zz, yz + zy],
    [xy - yx, zx + xz, yz + zy, zz - xx - yy],
  ];
  const size = Math.hypot(...N.flat()) || 1; // added to all eigenvalues, so that the largest is that of the rotation
  let quaternion = [1, 0.01, 0.01, 0.01];
  for (let step = 0; step < STEPS; step++) {
    const next = N.map((row, i) => row.reduce((sum, value, j) => sum + value * quaternion[j], size * quaternion[i]));
    const length = Math.hypot(...next);
    quaternion = next.map((value) => value / length);
  }
  const [cosine, ...vector] = quaternion[0] < 0 ? quaternion.map((value) => -value) : quaternion;
  const sine = Math.hypot(...vector) || 1;
  return { angle: 2 * Math.atan2(sine, cosine), axis: vector.map((value) => value / sine) };
}

// Rodrigues' rotation of a point.
function rotated([x, y, z], { angle, axis: [a, b, c] }, share) {
  const [cosine, sine] = [Math.cos(share * angle), Math.sin(share * angle)];
  const along = (a * x + b * y + c * z) * (1 - cosine);
  return [
    x * cosine + (b * z - c * y) * sine + a * along,
    y * cosine + (c * x - a * z) * sine + b * along,
    z * cosine + (a * y - b * x) * sine + c * along,
  ];
}

// A picture on the way: its coordinates on the axes that are seen, all else as it will be.
function between(before, after, axes, { old, fresh, middles, turn, shared, eased }) {
  const moved = fresh.map((column) => column.slice());
  const centred = (columns, middle, place) => [0, 1, 2].map((k) => (k < columns.length ? columns[k][place] - middle[k] : 0));
  for (const [from, to] of shared) {
    const start = centred(old, middles[0], from);
    const [now, end] = [rotated(start, turn, eased), rotated(start, turn, 1)];
    const goal = centred(fresh, middles[1], to);
    moved.forEach((column, k) => {
      const middle = middles[0][k] + eased * (middles[1][k] - middles[0][k]);
      column[to] = middle + now[k] + eased * (goal[k] - end[k]);
    });
  }
  const picture = Object.create(after);
  picture.column = (axis) => (axes.includes(axis) ? moved[axes.indexOf(axis)] : after.column(axis));
  return picture;
}
