// Where each episode of a run is in its grid: a block per agent and model, rows of tasks, columns of seeds.
"use strict";
{
  const varied = (column) => column.some((value) => value !== column[0]);

  // Rows, columns and blocks with nothing to show are left out, so that what is sought is close together.
  // -> {blocks: [{agent, model, rows: [{task, text}], cells: Int32Array [rows * columns] of episodes, -1: none}],
  //     columns: [{seed, repeat}], places: Map episode -> [block, row, column]}
  kit.layout = (table, mask) => {
    const { names, episodes } = table;
    const shown = [...mask.keys()].filter((i) => mask[i]);
    const has = { distractors: varied(episodes.distractors), repeat: varied(episodes.repeat) };

    const columnOf = new Map();
    for (const i of shown) columnOf.set(`${episodes.seed[i]}/${episodes.repeat[i]}`, [episodes.seed[i], episodes.repeat[i]]);
    const columns = [...columnOf.values()].sort((a, b) => a[0] - b[0] || a[1] - b[1]).map(([seed, repeat]) => ({ seed, repeat }));
    columns.forEach(({ seed, repeat }, place) => columnOf.set(`${seed}/${repeat}`, place));

    const blockOf = new Map();
    for (const i of shown) {
      const key = `${episodes.agent[i]}/${episodes.model[i]}`;
      if (!blockOf.has(key)) blockOf.set(key, { agent: episodes.agent[i], model: episodes.model[i], rowOf: new Map() });
      blockOf.get(key).rowOf.set(`${episodes.task[i]}/${episodes.distractors[i]}/${episodes.history[i]}`,
        [episodes.task[i], episodes.distractors[i], episodes.history[i]]);
    }
    const blocks = [...blockOf.values()].sort((a, b) => a.agent - b.agent || a.model - b.model);
    for (const block of blocks) {
      const rows = [...block.rowOf.values()].sort((a, b) => a[0] - b[0] || a[1] - b[1] || a[2] - b[2]);
      const histories = varied(rows.map(([, , history]) => history));
      rows.forEach((row, place) => block.rowOf.set(row.join("/"), place));
      block.rows = rows.map(([task, distractors, history]) => ({
        task: names.tasks[task],
        text: [names.tasks[task], has.distractors && `+${distractors}`, histories && `h${history}`].filter(Boolean).join(" "),
        words: [names.tasks[task], has.distractors && kit.plural(distractors, "distractor"), histories && `history of ${history}`].filter(Boolean).join(", "),
      }));
      block.cells = new Int32Array(rows.length * columns.length).fill(-1);
    }

    const order = new Map(blocks.map((block, place) => [`${block.agent}/${block.model}`, place]));
    const places = new Map();
    for (let i = 0; i < episodes.id.length; i++) {
      const place = order.get(`${episodes.agent[i]}/${episodes.model[i]}`);
      const row = blocks[place]?.rowOf.get(`${episodes.task[i]}/${episodes.distractors[i]}/${episodes.history[i]}`);
      const column = columnOf.get(`${episodes.seed[i]}/${episodes.repeat[i]}`);
      if (row === undefined || column === undefined) continue;
      blocks[place].cells[row * columns.length + column] = i;
      if (mask[i]) places.set(i, [place, row, column]);
    }
    return { blocks, columns, places, has };
  };

  // The next shown episode from `from` in a direction of arrow keys; `from` where there is none.
  kit.layout.next = ({ blocks, columns, places }, mask, from, key) => {
    const place = places.get(from);
    if (!place) return places.keys().next().value ?? -1;
    let [block, row, column] = place;
    const at = (b, r, c) => {
      const i = blocks[b].cells[r * columns.length + c];
      return i >= 0 && mask[i] ? i : -1;
    };
    const near = (b, r) => {
      for (let d = 0; d < columns.length; d++) {
        for (const c of [column - d, column + d]) if (c >= 0 && c < columns.length && at(b, r, c) >= 0) return at(b, r, c);
      }
      return -1;
    };
    const along = (c, step) => {
      for (; c >= 0 && c < columns.length; c += step) if (at(block, row, c) >= 0) return at(block, row, c);
      return from;
    };
    const vertical = (step) => {
      row += step;
      if (row < 0) row = --block >= 0 ? blocks[block].rows.length - 1 : -1;
      else if (row >= blocks[block].rows.length) { block++; row = 0; }
      return block >= 0 && block < blocks.length ? near(block, row) : from;
    };
    const jump = (b) => (b >= 0 && b < blocks.length ? near(b, 0) : from);
    switch (key) {
      case "ArrowLeft": return along(column - 1, -1);
      case "ArrowRight": return along(column + 1, 1);
      case "ArrowUp": return vertical(-1);
      case "ArrowDown": return vertical(1);
      case "Home": return along(0, 1);
      case "End": return along(columns.length - 1, -1);
      case "PageUp": return jump(block - 1);
      case "PageDown": return jump(block + 1);
      default: return from;
    }
  };
}
