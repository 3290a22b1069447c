// The episodes around one: those before and after it in its run, and those of other agents on its task and seed.
"use strict";
kit.neighbours = {
  // The ids of a run's episodes that the filters in an address leave, in the order of the plan.
  async order(table, run, params) {
    const { id } = table.episodes;
    let mask = null;
    if (kit.filters.any(params)) {
      const found = params.get("text") ? new Set((await kit.source.search(run, params.get("text"))).ids) : null;
      mask = kit.filters.apply(table, params, found).mask;
    }
    return id.filter((one, i) => one !== null && (!mask || mask[i]));
  },

  // Links to the one before and after `id`; `link(id)` makes an address.
  around(order, id, link) {
    const place = order.indexOf(id);
    const step = (direction, text, key) => {
      const to = order[place + direction];
      return kit.el(to ? "a" : "span", { class: "button", title: `${direction < 0 ? "Previous" : "Next"} episode (${key})`, href: to && link(to), "aria-disabled": to ? null : "true" }, text);
    };
    const count = place < 0 ? "" : `${kit.number(place + 1)} of ${kit.number(order.length)}`;
    return [step(-1, "‹ Previous", "["), kit.el("span", { class: "muted" }, count), step(1, "Next ›", "]")];
  },

  // Links that put other agents beside the episode `id` of `run`.
  others({ names, episodes }, run, id) {
    const mine = episodes.id.indexOf(id);
    const same = (i) => ["task", "distractors", "seed", "repeat"].every((name) => episodes[name][i] === episodes[name][mine]);
    const others = [...episodes.id.keys()].filter((i) => i !== mine && episodes.id[i] !== null && same(i));
    const side = (...ids) => kit.link("side", { of: [id, ...ids].map((one) => `${run}/${one}`), step: 1 });
    const button = (href, text) => kit.el("a", { class: "button", href }, text);
    const name = (i) => names.agents[episodes.agent[i]] + (names.models.length > 1 ? `, ${names.models[episodes.model[i]]}` : "");
    const all = side(...others.slice(0, 5).map((i) => episodes.id[i]));
    return [
      kit.el("span", { class: "muted" }, "Side by side with"),
      ...others.slice(0, 6).map((i) => button(side(episodes.id[i]), `${kit.outcomeSign(names.outcomes[episodes.outcome[i]])} ${name(i)}`)),
      ...(others.length > 1 ? [button(all, others.length > 5 ? "five of them" : "all")] : []),
      button(side(), others.length ? "another…" : "another run's agent…"),
    ];
  },
};
