// The panel of filters beside a run: choices with how many episodes each has, ranges, and a search in the texts.
"use strict";
{
  const { el } = kit;
  const WAIT_MS = 250;  // after the last key, before the address changes

  // `set({name: value or [values]})` changes the address.
  kit.facets = ({ set }) => {
    const groups = new Map();
    let timer = null;
    const later = (change) => { clearTimeout(timer); timer = setTimeout(change, WAIT_MS); };
    const field = (name, label, attributes) => {
      const input = el("input", { id: "filter-" + name, "aria-describedby": "filter-trouble", oninput: () => later(() => set({ [name]: input.value.trim() })),
        onkeydown: (event) => { if (event.key === "Escape") input.blur(); }, ...attributes });
      return { input, row: el("label", { class: "range" }, el("span", {}, label), input) };
    };
    const fields = {
      text: field("text", "Text", { type: "search", placeholder: "in observations and thoughts" }),
      seeds: field("seeds", "Seeds", { type: "text", placeholder: "200:220 or 1,5,9", autocomplete: "off" }),
      min: field("min", "Steps, at least", { type: "number", min: 0 }),
      max: field("max", "Steps, at most", { type: "number", min: 0 }),
      invalid: field("invalid", "Invalid answers, at least", { type: "number", min: 0 }),
    };
    const trouble = el("p", { id: "filter-trouble", class: "note", role: "status" });
    const choices = el("div", {});
    const element = el("div", { class: "filters" }, fields.text.row, trouble, choices, fields.invalid.row, fields.min.row, fields.max.row, fields.seeds.row);

    // `search`: what is to be said about the search in the texts.
    function update(table, params, counts, search) {
      const facets = kit.filters.facets(table);
      for (const name of kit.filters.FACETS) {
        const wanted = params.getAll(name);
        const { label, values, labels = values } = facets[name];
        const useful = values.length > 1 || wanted.length > 0;
        if (!groups.has(name)) {
          const list = el("div", { class: "facet" });
          groups.set(name, { set: el("fieldset", {}, el("legend", {}, label), list), list, boxes: new Map() });
          choices.append(groups.get(name).set);
        }
        const group = groups.get(name);
        const present = new Set(table.episodes.id.map((id, i) => facets[name].of(i)));
        const sparse = name === "outcome" || name === "failure";  // what no episode has is left out
        let some = 0;
        const unknown = wanted.filter((value) => !values.includes(value));
        [...values, ...unknown].forEach((value, place) => {
          if (!group.boxes.has(value)) group.boxes.set(value, choice(name, value, labels[place] ?? value, table, group));
          const { row, box, count } = group.boxes.get(value);
          const number = counts[name][place] ?? 0;
          box.checked = wanted.includes(value);
          count.textContent = kit.number(number);
          row.hidden = sparse && !present.has(place) && !box.checked;
          row.classList.toggle("none", !number);
          some += !row.hidden;
        });
        group.set.hidden = !useful || some < (name === "failure" ? 1 : 2) && !wanted.length;
      }
      for (const [name, { input }] of Object.entries(fields)) {
        if (document.activeElement !== input) input.value = params.get(name) ?? "";
      }
      const wrong = kit.filters.trouble(params);
      fields.seeds.input.setAttribute("aria-invalid", wrong ? "true" : "false");
      const text = wrong || search;
      if (trouble.textContent !== text) trouble.textContent = text;
    }

    function choice(name, value, label, table, group) {
      const box = el("input", { type: "checkbox", onchange: () => {
        set({ [name]: [...group.boxes].filter(([, one]) => one.box.checked).map(([one]) => one) });
      } });
      const kinds = { outcome: value === "failure" ? "failure" : value, failure: value === kit.filters.NOT_YET ? "failure" : value };
      const failure = name === "failure" && table.names.failures.find((one) => one.name === value);
      const count = el("span", { class: "count" });
      const row = el("label", { class: "choice", title: failure ? failure.text : null }, box,
        kinds[name] && !(name === "outcome" && value === "failure") && kit.cells.swatch(kinds[name]), el("span", { class: "what" }, label), count);
      group.list.append(row);
      return { row, box, count };
    }

    return { element, update, focus: () => fields.text.input.focus(), leave: () => clearTimeout(timer) };
  };
}
