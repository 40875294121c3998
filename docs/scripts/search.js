// Stands before the theme's search worker: that worker and the index are loaded with the first
// search, and not with every page. Messages: 0 sets up, 1 is ready, 2 asks, 3 answers.
let settings;
let search;

async function load() {
  const index = await fetch(new URL("../../../search/index.json", location)).then((got) => got.json());
  let answer;
  self.addEventListener = (_, listener) => (answer = listener);
  importScripts("lunr.js");
  delete self.addEventListener;
  await answer({ data: { type: 0, data: { ...settings, docs: index.docs } } });
  return answer;
}

addEventListener("message", async (message) => {
  if (message.data.type === 0) {
    settings = message.data.data;
    postMessage({ type: 1 });
  } else if (!message.data.data) {
    postMessage({ type: 3, data: { items: [] } });
  } else {
    search ??= load();
    (await search)(message);
  }
});
