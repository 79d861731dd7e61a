// Colours of figures by day and by night. Figures come with those of the day; the night's stand for them.

const DAY = { ink: "#1f2933", muted: "#6b7785", grid: "#e4e8ee", page: "#ffffff", dark: false };
const NIGHT = { ink: "#e6eaf0", muted: "#93a0b0", grid: "#333d4b", page: "#171c24", dark: true };

export const themeOf = (dark) => (dark ? NIGHT : DAY);

// A figure, or any part of one, in the colours of a theme.
export function themed(part, theme) {
  if (!theme.dark) return part;
  if (typeof part === "string") return colorOf(part);
  if (ArrayBuffer.isView(part)) return part;
  // Numbers; or one with a colour of a scale: scales stay, but where they begin with the page.
  if (Array.isArray(part) && typeof part[0] === "number") return part[1] === "white" ? [part[0], theme.page] : part;
  if (Array.isArray(part)) return part.map((value) => themed(value, theme));
  if (part === null || typeof part !== "object") return part;
  return Object.fromEntries(Object.entries(part).map(([key, value]) => [key, UNTOUCHED.includes(key) ? value : themed(value, theme)]));
}

// A figure, or a part of one, whose letters have so many pixels at least.
export function readable(part, least) {
  if (Array.isArray(part)) return typeof part[0] === "object" ? part.map((value) => readable(value, least)) : part;
  if (part === null || typeof part !== "object" || ArrayBuffer.isView(part)) return part;
  const larger = (key, value) => {
    if (key === "meta") return value?.row_height ? { ...value, row_height: Math.max(value.row_height, 1.35 * least) } : value;
    const font = readable(value, least);
    return /font$/.test(key) && font?.size < least ? { ...font, size: least } : font;
  };
  return Object.fromEntries(Object.entries(part).map(([key, value]) => [key, larger(key, value)]));
}

// What comes from data is no colour, whatever it looks like.
const UNTOUCHED = ["customdata", "text", "ticktext", "name", "meta"];
const KNOWN = { [DAY.ink]: NIGHT.ink, [DAY.muted]: NIGHT.muted, [DAY.grid]: NIGHT.grid, white: NIGHT.page };

// Colours of curves are lighter on a dark ground; what is mixed with the day's page is mixed with the night's.
function colorOf(text) {
  if (KNOWN[text]) return KNOWN[text];
  const rgba = /^rgba\((\d+), (\d+), (\d+), ([\d.]+)\)$/.exec(text);
  if (rgba) {
    const [red, green, blue] = rgba.slice(1, 4).map(Number);
    const isInk = red === 31 && green === 41 && blue === 51;
    const lighter = isInk ? [230, 234, 240] : [red, green, blue].map((part) => Math.round(part + 0.35 * (255 - part)));
    return `rgba(${lighter.join(", ")}, ${rgba[4]})`;
  }
  if (!/^#[0-9a-f]{6}$/i.test(text)) return text;
  const parts = [1, 3, 5].map((at) => parseInt(text.slice(at, at + 2), 16));
  const isPale = Math.min(...parts) >= 127; // a colour half mixed with white, as thin runs have it
  const mixed = parts.map((part) => Math.round(isPale ? 23 + (part - 23) * 0.62 : part + 0.35 * (255 - part)));
  return `#${mixed.map((part) => part.toString(16).padStart(2, "0")).join("")}`;
}
