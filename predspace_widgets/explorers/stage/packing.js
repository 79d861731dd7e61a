// How numbers travel to the stage; packing.py writes what is read here.

const ALIGNMENT = 8;
const TYPES = {
  float32: Float32Array, float64: Float64Array, int32: Int32Array, uint8: Uint8Array, uint16: Uint16Array,
};
// See packing.py: what differences are counted from, and the bits of a float32 that are not sent.
const MIDDLE = 0x008080;
const DROPPED = 7;
// Rows and columns of a block that fits a core's cache together with its mirror image.
const BLOCK = 64;

/**
 * Facts and arrays of packed bytes, compressed or not.
 *
 * @param {Uint8Array} bytes
 * @returns {Promise<{about: object, arrays: Object<string, TypedArray>}>} The arrays look into one buffer, they are no
 *   copies; each has a property `shape`, an array of whole numbers. The last axis varies fastest.
 */
export async function unpack(bytes) {
  // Packed bytes may by chance begin as gzip does, with the length of their header; the header itself begins with "{".
  const isCompressed = bytes[0] === 0x1f && bytes[1] === 0x8b && bytes[4] !== 0x7b;
  const plain = isCompressed ? await decompress(bytes) : bytes;
  const length = new DataView(plain.buffer, plain.byteOffset, 4).getUint32(0, true);
  const header = JSON.parse(new TextDecoder().decode(plain.subarray(4, 4 + length)));
  const first = Math.ceil((4 + length) / ALIGNMENT) * ALIGNMENT;
  // A typed array must start at a multiple of the size of its numbers, wherever the host had put the bytes.
  const body = plain.byteOffset % ALIGNMENT === 0 ? plain : plain.slice();
  const arrays = Object.create(null); // names come from data: `__proto__` is a name like others
  for (const [name, { dtype, shape, start, bytes: size }] of Object.entries(header.arrays)) {
    const Type = TYPES[dtype];
    const array = new Type(body.buffer, body.byteOffset + first + start, size / Type.BYTES_PER_ELEMENT);
    array.shape = shape;
    arrays[name] = array;
  }
  return { about: header.about, arrays };
}

async function decompress(bytes) {
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

/**
 * The square of distances, from what `condensed24` of packing.py makes of them.
 *
 * @param {Uint8Array} planes High, middle and low bytes of the pairs above the diagonal, row by row.
 * @param {number} T Number of checkpoints.
 * @returns {Float32Array} T * T, symmetric, zeros on the diagonal.
 */
export function squareFrom24(planes, T) {
  const square = new Float32Array(T * T);
  const bits = new Int32Array(square.buffer); // a float32 is read as the whole number that its bits are
  const pairs = (T * (T - 1)) / 2;
  // Differences along a row add up to what the row has more than the one above it. All sums are modulo 2^31: the sign
  // is cut off.
  for (let i = 0, pair = 0; i < T; i++) {
    const row = i * T;
    const above = Math.max(row - T, 0); // above the first row are zeros, which the first row still holds
    let more = -bits[above + i] | 0; // the diagonal is 0
    for (let j = i + 1; j < T; j++, pair++) {
      const sent = (planes[pair] << 16) | (planes[pairs + pair] << 8) | planes[2 * pairs + pair];
      more = (more + ((sent - MIDDLE) << DROPPED)) | 0;
      bits[row + j] = (bits[above + j] + more) & 0x7fffff80;
    }
  }
  mirror(bits, T);
  return square;
}

/**
 * The square of distances as they were sent: those above the diagonal, row by row, or what `condensed24` makes of them.
 *
 * @param {Float32Array|Uint8Array} sent
 * @param {number} T Number of checkpoints.
 * @returns {Float32Array} T * T, symmetric, zeros on the diagonal.
 */
export function squareOf(sent, T) {
  if (sent instanceof Uint8Array) return squareFrom24(sent, T);
  const square = new Float32Array(T * T);
  for (let i = 0, pair = 0; i < T; i++) {
    for (let j = i + 1; j < T; j++) square[i * T + j] = sent[pair++];
  }
  mirror(square, T);
  return square;
}

// Copies what is above the diagonal to below it, block by block: whole columns would miss the cache at every step.
function mirror(square, T) {
  for (let top = 0; top < T; top += BLOCK) {
    const bottom = Math.min(top + BLOCK, T);
    for (let left = top; left < T; left += BLOCK) {
      const right = Math.min(left + BLOCK, T);
      for (let j = left; j < right; j++) {
        for (let i = top; i < Math.min(bottom, j); i++) square[j * T + i] = square[i * T + j];
      }
    }
  }
}
