// Mermaid for pages with a diagram, from this site. The theme draws every `pre.mermaid` with
// whatever stands here; the library itself is fetched for the first drawing.
(() => {
  const home = new URL("../assets/mermaid/", document.currentScript.src);
  const parts = []; // the files of the library, those needed first in front; written here by the build
  const pause = () => new Promise((then) => setTimeout(then));
  let settings;
  let library;
  let last = Promise.resolve();

  // In small pieces, so that the page stays responsive: one file or one drawing at a time.
  const load = async () => {
    if (document.readyState !== "complete") await new Promise((then) => addEventListener("load", then, { once: true }));
    for (const part of parts) {
      document.head.append(Object.assign(document.createElement("link"), { rel: "modulepreload", href: new URL(part, home) }));
    }
    for (const part of parts) {
      await pause();
      await import(new URL(part, home));
    }
    const { default: mermaid } = await import(new URL("mermaid.esm.min.mjs", home));
    await pause();
    mermaid.initialize({
      ...settings,
      startOnLoad: false,
      suppressErrorRendering: true,
      theme: "base",
      fontFamily: "inherit",
      themeCSS: settings.themeCSS + colours,
      flowchart: { useMaxWidth: true, curve: "basis", nodeSpacing: 36, rankSpacing: 44, padding: 12 },
      sequence: {
        useMaxWidth: true, actorFontSize: 13, messageFontSize: 13, noteFontSize: 13,
        actorMargin: 8, width: 80, height: 60, wrapPadding: 4, noteMargin: 6, mirrorActors: false, wrap: false,
        diagramMarginX: 4, diagramMarginY: 4, boxMargin: 6, messageMargin: 30,
      },
      state: { useMaxWidth: true },
    });
    return mermaid;
  };

  // A drawing of which a third is in view is drawn at once, the rest when the reader first does anything.
  const used = new Promise((then) => {
    for (const sign of ["scroll", "pointermove", "pointerdown", "keydown", "beforeprint"]) {
      addEventListener(sign, then, { once: true, passive: true });
    }
  });
  const find = (source) => [...document.querySelectorAll("pre.mermaid")].find((pre) => pre.textContent === source);
  const seen = (source) => {
    const box = find(source);
    const near = new Promise((then) => {
      if (!box) return then();
      new IntersectionObserver((entries, observer) => {
        if (!entries.some((entry) => entry.isIntersecting)) return;
        observer.disconnect();
        then();
      }, { threshold: 0.33 }).observe(box);
    });
    return Promise.race([near, used]);
  };

  const draw = async (id, source) => {
    const mermaid = await (library ??= load());
    await document.fonts.ready; // texts are measured while it draws
    await pause();
    await mermaid.parse(source);
    await pause();
    const drawn = await mermaid.render(id, source);
    return { ...drawn, svg: drawn.svg.replace(/max-width: ([\d.]+)px;/, fit) };
  };

  // Colours are custom properties of the page, so a drawing follows the palette without being redrawn.
  const kind = (name) => `
    .node.${name} rect,.node.${name} polygon,.node.${name} path,.node.${name} circle{
      fill:var(--${name}-bg)!important;stroke:var(--${name}-line)!important}
    .node.${name} .nodeLabel{color:var(--${name}-fg)!important}`;
  const colours = `
    ${["command", "aggregate", "event", "handler"].map(kind).join("")}
    .node rect,.node polygon,.node circle,.node path{stroke-width:1.25px!important}
    marker path,marker polygon,marker circle{
      fill:var(--md-mermaid-edge-color)!important;stroke:var(--md-mermaid-edge-color)!important}
    .cluster rect{fill:var(--surface)!important;stroke:var(--line)!important}
    .messageText,.noteText,.noteText>tspan,.actor>tspan,.nodeLabel,.edgeLabel{font-weight:500}
    .noteText,.noteText>tspan{fill:var(--event-fg)!important}
    .note{fill:var(--event-bg)!important;stroke:var(--event-line)!important}
    .actor-line{stroke:var(--lifeline)!important}`;

  // A drawing fills the room that the page keeps for it, so nothing moves when it appears.
  const fit = "display: block; width: 100%; height: 100%; overflow: visible;";

  window.mermaid = {
    initialize: (given) => (settings = given),
    render: (id, source) => {
      const next = () => draw(id, source).catch((error) => {
        find(source)?.closest(".diagram").classList.add("diagram--failed"); // its source is shown instead
        throw error;
      });
      return seen(source).then(() => (last = last.then(next, next)));
    },
  };
})();
