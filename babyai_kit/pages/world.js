"use strict";
// Draws the world of an episode from its data (babyai_kit/replay/world.py) with minigrid's own tiles
// (babyai_kit/replay/tiles.py, in kit.tiles). Nothing else of the kit is needed.
(() => {
  const kit = (globalThis.kit ??= {});
  const VIEW = 7, AHEAD = 6, ASIDE = 3, UP = 3, SPAN = 16;
  const STEPS = [[1, 0], [0, 1], [-1, 0], [0, -1]];
  const FACING = ["right", "down", "left", "up"];
  const PATH = "#ffffff", WAY = "#6cc8ff", MARK = "#ffb27a", EDGE = "#000000";
  const keyframes = new WeakMap();
  const sheets = new WeakMap();

  // The image with all tiles of kit.tiles.
  function load(tiles = kit.tiles) {
    if (!sheets.has(tiles)) {
      const image = new Image();
      image.src = tiles.sheet;
      sheets.set(tiles, image.decode().then(() => image));
    }
    return sheets.get(tiles);
  }

  function change(cells, moment) {
    for (const [cell, code] of moment.changes) cells[cell] = code;
  }

  // The state at moment n, from the last of the states kept every SPAN moments.
  function at(world, n) {
    if (!keyframes.has(world)) {
      const cells = [...world.cells], frames = [];
      world.moments.forEach((moment, i) => {
        change(cells, moment);
        if (i % SPAN === 0) frames.push([...cells]);
      });
      keyframes.set(world, frames);
    }
    const kept = Math.floor(n / SPAN);
    const cells = [...keyframes.get(world)[kept]];
    for (let i = kept * SPAN + 1; i <= n; i++) change(cells, world.moments[i]);
    const { at, dir, carrying, seen } = world.moments[n];
    return { width: world.width, height: world.height, cells, at, dir, carrying, seen };
  }

  // The cells walked through up to moment n, each turn and wait once.
  function path(world, n) {
    const cells = [];
    for (const { at: [x, y] } of world.moments.slice(0, n + 1)) {
      const last = cells[cells.length - 1];
      if (!last || last[0] !== x || last[1] !== y) cells.push([x, y]);
    }
    return cells;
  }

  // The cell under a square of the agent's view, or null outside the level.
  function square(state, number) {
    const ahead = AHEAD - Math.floor(number / VIEW), right = (number % VIEW) - ASIDE;
    const [dx, dy] = STEPS[state.dir];
    const x = state.at[0] + dx * ahead - dy * right, y = state.at[1] + dy * ahead + dx * right;
    return x >= 0 && x < state.width && y >= 0 && y < state.height ? y * state.width + x : null;
  }

  const squares = [...Array(VIEW * VIEW).keys()];
  const lit = (state) => new Set(squares.filter((i) => state.seen[i] === "1").map((i) => square(state, i)));
  const agentCell = (state) => state.at[1] * state.width + state.at[0];

  // Names of tiles, as tiles.py writes them.
  function levelTiles(state) {
    const seen = lit(state), agent = agentCell(state);
    return state.cells.map((code, i) => `${code}|${seen.has(i) ? 1 : 0}|${i === agent ? state.dir : ""}`);
  }

  function viewTiles(state) {
    return squares.map((i) => {
      if (i === AHEAD * VIEW + ASIDE) return `${state.carrying || ""}|1|${UP}`;
      if (state.seen[i] === "0") return "|0|";
      const cell = square(state, i);
      return `${cell === null ? "wall" : state.cells[cell]}|1|`;
    });
  }

  function drawTiles(canvas, sheet, names, width, scale) {
    const { size, index } = kit.tiles;
    const side = scale || size;
    canvas.width = width * side;
    canvas.height = (names.length / width) * side;
    const pen = canvas.getContext("2d");
    names.forEach((name, i) =>
      pen.drawImage(sheet, 0, index[name] * size, size, size,
        (i % width) * side, Math.floor(i / width) * side, side, side));
    return { pen, side };
  }

  function line(pen, side, cells, colour, dashes) {
    const middle = (n) => (n + 0.5) * side;
    pen.setLineDash(dashes.map((n) => n * side));
    pen.lineCap = pen.lineJoin = "round";
    for (const [stroke, width] of [[EDGE, 0.14], [colour, 0.08]]) {
      pen.beginPath();
      cells.forEach(([x, y]) => pen.lineTo(middle(x), middle(y)));
      pen.strokeStyle = stroke;
      pen.lineWidth = width * side;
      pen.stroke();
    }
    pen.setLineDash([]);
  }

  // The level, what the agent sees lit. Of lists of cells [x, y]: `path` a line, `way` a dashed one, `marks`
  // frames around the cells. `scale`: pixels of a cell, as on the sheet by default.
  function draw(canvas, sheet, state, { path = [], way = [], marks = [], scale } = {}) {
    const { pen, side } = drawTiles(canvas, sheet, levelTiles(state), state.width, scale);
    if (path.length > 1) line(pen, side, path, PATH, []);
    if (way.length > 1) line(pen, side, way, WAY, [0.16, 0.24]);
    for (const [x, y] of marks) {
      for (const [stroke, width] of [[EDGE, 0.16], [MARK, 0.09]]) {
        pen.strokeStyle = stroke;
        pen.lineWidth = width * side;
        pen.strokeRect((x + 0.08) * side, (y + 0.08) * side, 0.84 * side, 0.84 * side);
      }
    }
  }

  // What the agent sees, looking up, from the middle of the lowest row.
  function drawView(canvas, sheet, state, { scale } = {}) {
    drawTiles(canvas, sheet, viewTiles(state), VIEW, scale);
  }

  const noun = (code) => {
    const [kind, colour, condition] = code.split(" ");
    return [condition, colour, kind].filter(Boolean).join(" ");
  };

  // The state in words, for those who do not see it. Rows and columns count from 1.
  function describe(state) {
    const seen = lit(state), places = { seen: [], unseen: [] };
    state.cells.forEach((code, i) => {
      if (code === "" || code.startsWith("wall")) return;
      const place = `${noun(code)} in column ${(i % state.width) + 1}, row ${Math.floor(i / state.width) + 1}`;
      places[seen.has(i) ? "seen" : "unseen"].push(place);
    });
    const [x, y] = state.at;
    const load = state.carrying ? `carrying a ${noun(state.carrying)}` : "carrying nothing";
    return `The level, ${state.width} by ${state.height} cells. ` +
      `The agent is in column ${x + 1}, row ${y + 1}, facing ${FACING[state.dir]}, ${load}. ` +
      `In view: ${places.seen.join("; ") || "no object"}. ` +
      `Elsewhere: ${places.unseen.join("; ") || "no object"}.`;
  }

  kit.world = { load, at, path, draw, drawView, levelTiles, viewTiles, describe };
})();
