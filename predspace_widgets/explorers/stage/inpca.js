// InPCA of the chosen checkpoints, from their distances. The same axes, signs and numbers as geometry/inpca.py and
// analysis/frame.py give; tests/browser/test_stage_numbers.py compares them.
//
// Only a few axes are wanted, so W = -1/2 L D L is never formed. A block of vectors V is multiplied with it again and
// again, each time as -1/2 L (D V) with V centred, and the axes are looked for among all that came out (block Lanczos).
// The first block is the picture of the whole dataset, which is close to the picture of most choices.
//
// A matrix is a Float64Array, row by row, unless it says otherwise.

// Vectors of a block: what the loops in `timesDistances` and `timesTransposed` are written for.
const WIDTH = 8;
// Of the first block, vectors that come from the picture of the whole dataset; the others are pseudo-random, so that no
// axis is missed because the whole picture has nothing of it.
const FROM_REFERENCE = 7;
// Blocks that are held before the best of what they span starts anew, and all that are tried.
const MOST_HELD = 6;
const MOST_PRODUCTS = 40;
// One block more than the first one: what the whole picture has nothing of must have had a chance to show.
const FEWEST_PRODUCTS = 2;
// With so few checkpoints the full spectrum comes sooner.
const FEW = 40;
// An axis may be off by this share of its norm. What it is off by is a residual over the distance to the next
// eigenvalue; eigenvalues closer than the last share, of themselves, are told apart no better than that.
const TOLERANCE = 5e-5;
const CLOSE = 1e-3;
// Half a unit in the last of 17 significant bits, which many distances are sent with, and halved once more by W.
const ROUNDING = 2 ** -18;
// Of the length of a vector: less than this, left after what others span is taken away, is rounding.
const DEPENDENT = 1e-12;
// The same for what W makes of a vector, of the norm of W. Where checkpoints coincide W makes nothing of many vectors,
// and what rounding leaves of them need not be centred.
const NOTHING = 1e-9;

/**
 * Axes of the chosen checkpoints: eigenvalues of largest magnitude, the largest first, and coordinates
 * sqrt(abs(lambda)) U. What their rounding cannot tell from 0 counts as 0.
 *
 * @param {Float32Array} square T * T distances of all checkpoints, symmetric, zeros on the diagonal.
 * @param {number} T Number of all checkpoints.
 * @param {Int32Array} rows The n chosen ones, each once.
 * @param {number} k Number of axes; at most n come.
 * @param {?Float32Array} reference T * m coordinates in the picture of the whole dataset: axes take its signs, and the
 *   iteration its start. Without it, and beyond its axes, the coordinate of largest magnitude is positive.
 * @param {number} share Of the largest distance: what rounding may have made of each.
 * @returns {{rows: Int32Array, k: number, eigenvalues: Float64Array, coordinates: Float32Array, vectors: Float64Array,
 *   stress: Float64Array, rowMeans: Float64Array, mean: number, converged: boolean, iterations: number}} Coordinates
 *   and vectors are n * k, row by row; stress is that of the first 1, 2, ... axes, 1 where all checkpoints coincide. A
 *   single checkpoint has one axis, on which it is 0. `converged` is false where the axes are not all as exact as they
 *   should be, after as many `iterations` as are tried.
 */
export function fitAxes(square, T, rows, k, reference = null, share = ROUNDING) {
  const n = rows.length;
  const distances = among(square, T, rows);
  const { rowMeans, mean, largest, norm } = moments(distances, n);
  const rounding = share * n * largest;
  const count = Math.min(k, n);
  const all = { distances, n, rowMeans, mean, rounding, norm };
  let found;
  if (norm <= rounding) {
    found = { values: new Float64Array(count), vectors: new Float64Array(n * count), converged: true, iterations: 0 };
  } else if (n <= Math.max(FEW, WIDTH * mostHeld(count))) {
    found = fullSpectrum(all, count);
  } else {
    found = iterate(all, count, firstBlock(rows, reference, T));
  }
  const eigenvalues = found.values.map((value) => (Math.abs(value) <= rounding ? 0 : value));
  const vectors = found.vectors;
  const m = reference === null ? 0 : reference.length / T;
  for (let axis = 0; axis < count; axis++) {
    const sign = signOf(vectors, count, axis, rows, axis < m ? reference : null, m);
    for (let i = 0; i < n; i++) vectors[i * count + axis] *= sign;
  }
  const coordinates = new Float32Array(n * count);
  for (let at = 0; at < coordinates.length; at++) {
    coordinates[at] = vectors[at] * Math.sqrt(Math.abs(eigenvalues[at % count]));
  }
  const stress = explainedStress(eigenvalues, norm, rounding);
  const { converged, iterations } = found;
  return { rows, k: count, eigenvalues, coordinates, vectors, stress, rowMeans, mean, converged, iterations };
}

/**
 * Coordinates of further points by their distances to the fitted ones; a fitted one lands on itself.
 *
 * @param {object} axes What `fitAxes` gives.
 * @param {Float32Array|Float64Array} distances Row by row a point. A row holds the distances to the fitted checkpoints
 *   in their order or, with `T`, those to all checkpoints, of which the fitted ones are taken.
 * @param {?number} T Number of all checkpoints.
 * @returns {Float32Array} A row of k coordinates for each point.
 */
export function project(axes, distances, T = null) {
  const { rows, k, eigenvalues, vectors, rowMeans, mean } = axes;
  const n = rows.length;
  const width = T ?? n;
  const points = distances.length / width;
  const coordinates = new Float32Array(points * k);
  const scales = eigenvalues.map((value) => (value === 0 ? 0 : Math.sign(value) / Math.sqrt(Math.abs(value))));
  const sums = new Float64Array(k);
  for (let point = 0; point < points; point++) {
    const distance = (j) => distances[point * width + (T === null ? j : rows[j])];
    let own = 0;
    for (let j = 0; j < n; j++) own += distance(j) / n;
    sums.fill(0);
    for (let j = 0; j < n; j++) {
      const centred = -0.5 * (distance(j) - own - rowMeans[j] + mean);
      for (let axis = 0; axis < k; axis++) sums[axis] += vectors[j * k + axis] * centred;
    }
    for (let axis = 0; axis < k; axis++) coordinates[point * k + axis] = sums[axis] * scales[axis];
  }
  return coordinates;
}

// ---- what is known of the distances beforehand ----------------------------------------------------------------------

// Distances among some checkpoints; all of them, in their order, are not copied.
function among(square, T, rows) {
  const n = rows.length;
  if (n === T && rows.every((row, i) => row === i)) return square;
  const distances = new Float32Array(n * n);
  for (let i = 0, at = 0; i < n; i++) {
    const row = rows[i] * T;
    for (let j = 0; j < n; j++) distances[at++] = square[row + rows[j]];
  }
  return distances;
}

// Row means of D, their mean, the largest distance, and the Frobenius norm of W.
function moments(distances, n) {
  const rowMeans = new Float64Array(n);
  let largest = 0;
  let squares = 0;
  let squaredMeans = 0;
  let mean = 0;
  for (let i = 0, at = 0; i < n; i++) {
    let sum = 0;
    let squared = 0;
    for (let j = 0; j < n; j++) {
      const distance = distances[at++];
      sum += distance;
      squared += distance * distance;
      if (Math.abs(distance) > largest) largest = Math.abs(distance);
    }
    rowMeans[i] = sum / n;
    squares += squared;
    squaredMeans += rowMeans[i] * rowMeans[i];
    mean += rowMeans[i] / n;
  }
  const norm = 0.5 * Math.sqrt(Math.max(squares - 2 * n * squaredMeans + n * n * mean * mean, 0));
  return { rowMeans, mean, largest, norm };
}

function explainedStress(eigenvalues, norm, rounding) {
  const stress = new Float64Array(eigenvalues.length).fill(1);
  if (norm <= rounding) return stress;
  let explained = 0;
  for (let axis = 0; axis < stress.length; axis++) {
    explained += (eigenvalues[axis] / norm) ** 2;
    stress[axis] = 1 - Math.sqrt(Math.max(1 - explained, 0));
  }
  return stress;
}

// +1 or -1 for an axis: what makes its coordinate of largest magnitude positive, unless that is against a reference.
function signOf(vectors, k, axis, rows, reference, m) {
  let largest = 0;
  for (let i = 0; i < rows.length; i++) {
    const value = vectors[i * k + axis];
    if (Math.abs(value) > Math.abs(largest)) largest = value;
  }
  const sign = largest < 0 ? -1 : 1;
  if (reference === null) return sign;
  let centre = 0;
  let others = 0;
  for (let i = 0; i < rows.length; i++) {
    centre += vectors[i * k + axis] / rows.length;
    others += reference[rows[i] * m + axis] / rows.length;
  }
  let agreement = 0;
  for (let i = 0; i < rows.length; i++) {
    agreement += (vectors[i * k + axis] - centre) * (reference[rows[i] * m + axis] - others);
  }
  return agreement * sign < 0 ? -sign : sign;
}

// ---- a few axes of many checkpoints ----------------------------------------------------------------------------------

// Blocks that are held at most: the wanted axes and some more are kept when the iteration starts anew.
const keptBlocks = (k) => Math.ceil((k + 4) / WIDTH);
const mostHeld = (k) => Math.max(MOST_HELD, 3 * keptBlocks(k));

// Eigenpairs of largest magnitude. With Q all blocks so far, one at right angles to another, W Q = Q H + N R where N is
// the next block and R couples it to the last: so the small H has the eigenvalues, and R the residuals.
function iterate({ distances, n, rounding, norm }, k, first) {
  const limit = WIDTH * mostHeld(k);
  let H = new Float64Array(limit * limit);
  const random = pseudoRandom(n);
  let blocks = [];
  let next = first;
  orthonormalise(next, blocks, n, random);
  for (let iterations = 1; ; iterations++) {
    blocks.push(next);
    const image = timesW(distances, n, next);
    const { coefficients, coupling } = orthonormalise(image, blocks, n, random, NOTHING * norm);
    enter(H, limit, coefficients, blocks.length * WIDTH);
    const ritz = eigenpairs(leading(H, limit, blocks.length * WIDTH), blocks.length * WIDTH);
    const residuals = residualsOf(ritz, coupling);
    const converged = iterations >= FEWEST_PRODUCTS && areGood(ritz.values, residuals, k, rounding);
    if (converged || iterations === MOST_PRODUCTS) {
      return { values: ritz.values.slice(0, k), vectors: combine(blocks, ritz, 0, k, n), converged, iterations };
    }
    if (blocks.length === mostHeld(k)) {
      blocks = Array.from({ length: keptBlocks(k) }, (_, b) => combine(blocks, ritz, b * WIDTH, WIDTH, n));
      H = new Float64Array(limit * limit);
      for (let i = 0; i < blocks.length * WIDTH; i++) H[i * limit + i] = ritz.values[i];
    }
    next = image;
  }
}

// The picture of the whole dataset on the chosen rows, and pseudo-random numbers, centred: n * WIDTH.
function firstBlock(rows, reference, T) {
  const n = rows.length;
  const m = reference === null ? 0 : reference.length / T;
  const block = new Float64Array(n * WIDTH);
  const random = pseudoRandom(1);
  for (let i = 0; i < n; i++) {
    for (let c = 0; c < WIDTH; c++) {
      block[i * WIDTH + c] = c < Math.min(m, FROM_REFERENCE) ? reference[rows[i] * m + c] : random();
    }
  }
  centre(block, n);
  return block;
}

// W V = -1/2 L (D V), of a centred block V.
function timesW(distances, n, block) {
  const image = timesDistances(distances, n, block);
  centre(image, n);
  for (let at = 0; at < image.length; at++) image[at] *= -0.5;
  return image;
}

// D V. Two rows and four columns at a time: more sums than the processor has room for would be slower.
function timesDistances(distances, n, block) {
  const image = new Float64Array((n + 1) * WIDTH); // of an odd number of rows the last is taken twice
  for (let i = 0; i < n; i += 2) {
    const row = i * n;
    const other = i + 1 < n ? row + n : row;
    for (let column = 0; column < WIDTH; column += 4) {
      let a0 = 0, a1 = 0, a2 = 0, a3 = 0, b0 = 0, b1 = 0, b2 = 0, b3 = 0;
      for (let j = 0, at = column; j < n; j++, at += WIDTH) {
        const a = distances[row + j];
        const b = distances[other + j];
        const v0 = block[at], v1 = block[at + 1], v2 = block[at + 2], v3 = block[at + 3];
        a0 += a * v0; a1 += a * v1; a2 += a * v2; a3 += a * v3;
        b0 += b * v0; b1 += b * v1; b2 += b * v2; b3 += b * v3;
      }
      const at = i * WIDTH + column;
      image[at] = a0; image[at + 1] = a1; image[at + 2] = a2; image[at + 3] = a3;
      image[at + WIDTH] = b0; image[at + WIDTH + 1] = b1; image[at + WIDTH + 2] = b2; image[at + WIDTH + 3] = b3;
    }
  }
  return image.subarray(0, n * WIDTH);
}

function centre(block, n) {
  const means = new Float64Array(WIDTH);
  for (let at = 0; at < block.length; at++) means[at % WIDTH] += block[at];
  for (let c = 0; c < WIDTH; c++) means[c] /= n;
  for (let at = 0; at < block.length; at++) block[at] -= means[at % WIDTH];
}

// Takes away from a block what others span, and makes its vectors of length 1 at right angles to each other. What was
// taken, `coefficients` (a matrix of WIDTH columns), and `coupling`: the block before = others coefficients + block
// coupling. Vectors of which nothing is left, or no more than a length, are drawn anew, and coupled to nothing.
function orthonormalise(block, others, n, random, least = 0) {
  const coefficients = new Float64Array(others.length * WIDTH * WIDTH);
  const coupling = new Float64Array(WIDTH * WIDTH);
  const lengths = Array.from({ length: WIDTH }, (_, c) => lengthOf(block, c));
  for (let pass = 0; pass < 2; pass++) { // the second takes what rounding left of the first
    others.forEach((other, b) => takeAway(block, other, n, coefficients.subarray(b * WIDTH * WIDTH)));
  }
  for (let c = 0; c < WIDTH; c++) {
    for (let pass = 0; pass < 2; pass++) {
      for (let before = 0; before < c; before++) coupling[before * WIDTH + c] += takeColumn(block, c, block, before);
    }
    const length = lengthOf(block, c);
    if (length > Math.max(DEPENDENT * lengths[c], least)) {
      coupling[c * WIDTH + c] = length;
      for (let at = c; at < block.length; at += WIDTH) block[at] /= length;
    } else {
      drawColumn(block, c, others, random);
    }
  }
  return { coefficients, coupling };
}

// Replaces a column by a pseudo-random one at right angles to all others; by zeros where there is none.
function drawColumn(block, c, others, random) {
  let sum = 0;
  for (let at = c; at < block.length; at += WIDTH) sum += block[at] = random();
  for (let at = c; at < block.length; at += WIDTH) block[at] -= (sum * WIDTH) / block.length;
  const before = lengthOf(block, c);
  for (let pass = 0; pass < 2; pass++) {
    for (const other of others) for (let o = 0; o < WIDTH; o++) takeColumn(block, c, other, o);
    for (let o = 0; o < c; o++) takeColumn(block, c, block, o);
  }
  const length = lengthOf(block, c);
  for (let at = c; at < block.length; at += WIDTH) block[at] = length > DEPENDENT * before ? block[at] / length : 0;
}

// block -= other (other' block); the (WIDTH, WIDTH) product is added to `coefficients`.
function takeAway(block, other, n, coefficients) {
  const product = timesTransposed(other, block, n);
  for (let at = 0; at < product.length; at++) coefficients[at] += product[at];
  for (let i = 0; i < n; i++) {
    const row = i * WIDTH;
    for (let o = 0; o < WIDTH; o++) {
      const value = other[row + o];
      for (let c = 0; c < WIDTH; c++) block[row + c] -= value * product[o * WIDTH + c];
    }
  }
}

// other' block, (WIDTH, WIDTH).
function timesTransposed(other, block, n) {
  const product = new Float64Array(WIDTH * WIDTH);
  for (let o = 0; o < WIDTH; o++) {
    let p0 = 0, p1 = 0, p2 = 0, p3 = 0, p4 = 0, p5 = 0, p6 = 0, p7 = 0;
    for (let row = 0; row < n * WIDTH; row += WIDTH) {
      const value = other[row + o];
      p0 += value * block[row]; p1 += value * block[row + 1]; p2 += value * block[row + 2];
      p3 += value * block[row + 3]; p4 += value * block[row + 4]; p5 += value * block[row + 5];
      p6 += value * block[row + 6]; p7 += value * block[row + 7];
    }
    product.set([p0, p1, p2, p3, p4, p5, p6, p7], o * WIDTH);
  }
  return product;
}

// Takes away from column c of a block what it has of a column of another (or the same) one, and says how much.
function takeColumn(block, c, other, o) {
  let share = 0;
  for (let row = 0; row < block.length; row += WIDTH) share += block[row + c] * other[row + o];
  for (let row = 0; row < block.length; row += WIDTH) block[row + c] -= share * other[row + o];
  return share;
}

function lengthOf(block, c) {
  let squares = 0;
  for (let at = c; at < block.length; at += WIDTH) squares += block[at] * block[at];
  return Math.sqrt(squares);
}

// Writes the last WIDTH of `size` columns of H, and the rows that mirror them.
function enter(H, limit, coefficients, size) {
  const first = size - WIDTH;
  for (let i = 0; i < size; i++) {
    for (let c = 0; c < WIDTH; c++) {
      const value = coefficients[i * WIDTH + c];
      H[i * limit + first + c] = i < first ? value : (value + coefficients[(first + c) * WIDTH + i - first]) / 2;
      H[(first + c) * limit + i] = H[i * limit + first + c];
    }
  }
}

function leading(H, limit, size) {
  const part = new Float64Array(size * size);
  for (let i = 0; i < size; i++) part.set(H.subarray(i * limit, i * limit + size), i * size);
  return part;
}

// |W x - theta x| of each Ritz vector x: what its share of the last block brings into the next one.
function residualsOf({ values, vectors }, coupling) {
  const size = values.length;
  return values.map((_, axis) => {
    let squares = 0;
    for (let o = 0; o < WIDTH; o++) {
      let sum = 0;
      for (let c = 0; c < WIDTH; c++) sum += coupling[o * WIDTH + c] * vectors[axis * size + size - WIDTH + c];
      squares += sum * sum;
    }
    return Math.sqrt(squares);
  });
}

function areGood(values, residuals, k, rounding) {
  for (let axis = 0; axis < k; axis++) {
    let gap = Infinity;
    for (let other = 0; other < values.length; other++) {
      if (other !== axis) gap = Math.min(gap, Math.abs(values[axis] - values[other]));
    }
    const size = Math.abs(values[axis]);
    const isZero = size + residuals[axis] <= rounding;
    if (!isZero && residuals[axis] > TOLERANCE * Math.max(gap, CLOSE * size)) return false;
  }
  return true;
}

// Ritz vectors `first`, ..., `first + count - 1` of what the blocks span: n * count.
function combine(blocks, { values, vectors }, first, count, n) {
  const size = values.length;
  const combined = new Float64Array(n * count);
  blocks.forEach((block, b) => {
    for (let c = 0; c < count; c++) {
      const weights = vectors.subarray((first + c) * size + b * WIDTH, (first + c) * size + (b + 1) * WIDTH);
      for (let i = 0; i < n; i++) {
        let sum = 0;
        for (let o = 0; o < WIDTH; o++) sum += block[i * WIDTH + o] * weights[o];
        combined[i * count + c] += sum;
      }
    }
  });
  return combined;
}

// Numbers from -1/2 to 1/2, the same ones for the same seed (a linear congruential generator, as in Numerical Recipes).
function pseudoRandom(seed) {
  let state = seed >>> 0;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32 - 0.5;
  };
}

// ---- all axes of few ------------------------------------------------------------------------------------------------

function fullSpectrum({ distances, n, rowMeans, mean }, k) {
  const W = new Float64Array(n * n);
  for (let i = 0; i < n; i++) {
    for (let j = 0; j < n; j++) W[i * n + j] = -0.5 * (distances[i * n + j] - rowMeans[i] - rowMeans[j] + mean);
  }
  const { values, vectors } = eigenpairs(W, n);
  const columns = new Float64Array(n * k);
  for (let i = 0; i < n; i++) for (let axis = 0; axis < k; axis++) columns[i * k + axis] = vectors[axis * n + i];
  return { values: values.slice(0, k), vectors: columns, converged: true, iterations: 0 };
}

// All eigenvalues of a small symmetric matrix, which is used up, by magnitude, and its eigenvectors as rows. Jacobi's
// rotations: each sets one pair of entries to 0, until none is left that counts.
export function eigenpairs(matrix, size) {
  const turned = new Float64Array(size * size);
  for (let i = 0; i < size; i++) turned[i * size + i] = 1;
  let squares = 0;
  for (const value of matrix) squares += value * value;
  const negligible = (Math.sqrt(squares) * 1e-15) / size;
  for (let sweep = 0, isDone = false; sweep < 50 && !isDone; sweep++) {
    isDone = true;
    for (let p = 0; p < size - 1; p++) {
      for (let q = p + 1; q < size; q++) {
        if (Math.abs(matrix[p * size + q]) <= negligible) continue;
        isDone = false;
        rotate(matrix, turned, size, p, q);
      }
    }
  }
  const values = Array.from({ length: size }, (_, i) => matrix[i * size + i]);
  const order = [...values.keys()].sort((i, j) => Math.abs(values[j]) - Math.abs(values[i]) || values[i] - values[j]);
  const vectors = new Float64Array(size * size);
  order.forEach((from, to) => vectors.set(turned.subarray(from * size, (from + 1) * size), to * size));
  return { values: Float64Array.from(order, (i) => values[i]), vectors };
}

function rotate(matrix, turned, size, p, q) {
  const between = matrix[p * size + q];
  const ratio = (matrix[q * size + q] - matrix[p * size + p]) / (2 * between);
  const tangent = (ratio < 0 ? -1 : 1) / (Math.abs(ratio) + Math.sqrt(ratio * ratio + 1));
  const cosine = 1 / Math.sqrt(tangent * tangent + 1);
  const sine = tangent * cosine;
  const low = matrix[p * size + p] - tangent * between;
  const high = matrix[q * size + q] + tangent * between;
  for (let i = 0, atP = p * size, atQ = q * size; i < size; i++, atP++, atQ++) {
    const a = matrix[atP], b = matrix[atQ];
    matrix[i * size + p] = matrix[atP] = cosine * a - sine * b;
    matrix[i * size + q] = matrix[atQ] = sine * a + cosine * b;
    const u = turned[atP], v = turned[atQ];
    turned[atP] = cosine * u - sine * v;
    turned[atQ] = sine * u + cosine * v;
  }
  matrix[p * size + p] = low;
  matrix[q * size + q] = high;
  matrix[p * size + q] = matrix[q * size + p] = 0;
}
