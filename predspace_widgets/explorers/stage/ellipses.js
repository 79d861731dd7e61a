// Outlines of 95% regions of normal distributions; the twin of geometry/ellipses.py.
import { eigenpairs } from "./inpca.js";

// Outlines [outline][point][coordinate] around 0 of a covariance, a list of d rows: one in the plane, in space those of
// each two half axes. The radius of the region is in standard deviations.
export function outlinesOf(covariance, points, radius) {
  const d = covariance.length;
  const { values, vectors } = eigenpairs(Float64Array.from(covariance.flat()), d);
  const axes = Array.from(values, (value, n) => {
    const vector = vectors.subarray(n * d, (n + 1) * d);
    const largest = vector.reduce((best, part) => (Math.abs(part) > Math.abs(best) ? part : best), 0);
    const length = radius * Math.sqrt(Math.max(value, 0)) * (largest < 0 ? -1 : 1);
    return Array.from(vector, (part) => length * part);
  });
  const pairs = d === 2 ? [[0, 1]] : [[0, 1], [0, 2], [1, 2]];
  return pairs.map(([one, other]) =>
    Array.from({ length: points }, (_, n) => {
      const turn = (2 * Math.PI * n) / (points - 1);
      return axes[one].map((part, k) => Math.cos(turn) * part + Math.sin(turn) * axes[other][k]);
    }),
  );
}
