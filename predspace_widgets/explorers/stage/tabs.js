// The tabs of a deck, as ARIA's pattern for tabs has them: arrows, Home and End bring another view to the front.
import { el } from "./controls.js";

let counted = 0; // ids are unique on a page, however many stages it has

export const freshId = (what) => `predspace-${what}-${++counted}`;

// The list of tabs of one card: each card of a deck has its own, and that of the one in front is seen. title: the node
// that stands on the card's own tab.
export function tabList(card, title) {
  const { deck, view } = card;
  const moves = { ArrowRight: 1, ArrowLeft: -1, Home: -Infinity, End: Infinity };
  const place = deck.indexOf(view);
  const byKey = (event) => {
    const move = moves[event.key];
    if (!move || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    const next = Math.abs(move) > 1 ? (move < 0 ? 0 : deck.length - 1) : (place + move + deck.length) % deck.length;
    toFront(card, deck[next]);
  };
  const tabs = deck.map((other) => {
    const isOwn = other === view;
    const about = { role: "tab", "data-tab": other.name, "aria-selected": isOwn, tabIndex: isOwn ? 0 : -1 };
    if (isOwn) return el("div", { ...about, className: "tab", "aria-controls": card.panelId }, title);
    return el("button", { ...about, className: "link tab", textContent: other.tab, title: other.title, onclick: () => toFront(card, other) });
  });
  return el("div", { className: "tabs", role: "tablist", "aria-label": `views ${view.deck}`, onkeydown: byKey }, ...tabs);
}

// The focus goes along, to the tab of the card that is in front now.
function toFront(card, view) {
  const { stage } = card;
  const names = card.names();
  stage.set({ tabs: [...stage.choices.now.tabs.filter((name) => !names.includes(name)), view.name] });
  stage.cards.find((other) => other.view === view)?.node.querySelector("[role=tab][aria-selected=true]").focus();
}
