// The figures of a run. Each is an <img>: nothing inside an SVG can run there.
"use strict";
{
  const { el } = kit;

  kit.figures = () => {
    const root = el("div", { class: "figures", "aria-busy": "true" }, el("p", { class: "muted" }, "Drawing the figures…"));
    let urls = [];
    const free = () => { urls.forEach((url) => URL.revokeObjectURL(url)); urls = []; };

    function figure({ title, svg, caption }) {
      const url = URL.createObjectURL(new Blob([svg], { type: "image/svg+xml" }));
      urls.push(url);
      return el("figure", {}, el("h2", { class: "unseen" }, title), el("img", { src: url, alt: `${title}. ${caption ?? ""}` }), el("figcaption", {}, caption));
    }

    return {
      element: root,
      async update(run) {
        const figures = await kit.source.figures(run);
        const old = urls;
        urls = [];
        root.replaceChildren(...(figures.length ? figures.map(figure)
          : [el("p", { class: "muted" }, "There is nothing to draw yet: figures need episodes that have finished.")]));
        root.removeAttribute("aria-busy");
        old.forEach((url) => URL.revokeObjectURL(url));
      },
      leave: free,
    };
  };
}
