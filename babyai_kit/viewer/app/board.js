// A level, or what an agent sees of it, as sharp as the screen and as large as the place for it.
"use strict";
{
  const sharp = () => globalThis.devicePixelRatio || 1;

  function sized(canvas, place, width, height, draw) {
    const { clientWidth, clientHeight } = place;
    const scale = Math.floor(Math.min(clientWidth / width, clientHeight / height) * sharp());
    if (scale < 1) return;
    draw(scale);
    canvas.style.width = `${(width * scale) / sharp()}px`;
    canvas.style.height = `${(height * scale) / sharp()}px`;
  }

  // `kind`: "level" or "view". Its place has a size of its own, so that nothing moves when the level changes.
  kit.board = (kind) => {
    const canvas = kit.el("canvas", { role: "img" });
    const words = kit.el("p", { class: "muted none", hidden: true });
    const element = kit.el("div", { class: `board ${kind}` }, canvas, words);
    let shown = null;

    async function draw() {
      if (!shown) return;
      const mine = shown;
      const sheet = await kit.world.load();
      if (mine !== shown) return;
      const { state, options } = mine;
      if (kind === "view") sized(canvas, element, 7, 7, (scale) => kit.world.drawView(canvas, sheet, state, { scale }));
      else sized(canvas, element, state.width, state.height, (scale) => kit.world.draw(canvas, sheet, state, { ...options, scale }));
    }
    const sizes = new ResizeObserver(draw);
    sizes.observe(element);

    return {
      element,
      show(state, label, options = {}) {
        shown = { state, options };
        canvas.hidden = false;
        words.hidden = true;
        canvas.setAttribute("aria-label", label);
        draw();
      },
      // In place of the picture.
      say(text) {
        shown = null;
        canvas.hidden = true;
        words.hidden = false;
        words.textContent = text;
      },
    };
  };
}
