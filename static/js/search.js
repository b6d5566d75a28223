// The search: the index is loaded when the first word is written, and looked through here.
const query = document.querySelector("#query");
const count = document.querySelector("#count");
const found = document.querySelector("#found");
let pages;

// Where a page has a word says how much it is worth; 0 says that the page hasn't got it.
function worth(page, word) {
  if (page.title.toLowerCase().includes(word)) return 8;
  if (page.headings.some((heading) => heading.toLowerCase().includes(word))) return 4;
  if (page.summary.toLowerCase().includes(word)) return 2;
  return page.words.includes(word) ? 1 : 0;
}

function entry(page) {
  const item = document.createElement("li");
  const link = document.createElement("a");
  link.href = page.url;
  link.textContent = page.title;
  const summary = document.createElement("p");
  summary.textContent = page.summary;
  item.append(link, summary);
  return item;
}

async function search() {
  const text = query.value.trim();
  const words = text.toLowerCase().split(/\s+/).filter(Boolean);
  history.replaceState(null, "", text ? `?q=${encodeURIComponent(text)}` : location.pathname);
  try {
    pages ??= fetch("/search.json").then((answer) => {
      if (!answer.ok) throw new Error(answer.status);
      return answer.json();
    });
    const all = await pages;
    // Somebody typed on while the index was loaded.
    if (query.value.trim() !== text) return;
    const ranked = all.map((page) => ({ page, each: words.map((word) => worth(page, word)) }))
      .filter(({ each }) => each.length > 0 && each.every((one) => one > 0))
      .map(({ page, each }) => ({ page, sum: each.reduce((sum, one) => sum + one, 0) }))
      .sort((one, other) => other.sum - one.sum);
    count.textContent = words.length === 0 ? "" : ranked.length === 1 ? "1 page" : `${ranked.length || "No"} pages`;
    found.replaceChildren(...ranked.map(({ page }) => entry(page)));
  } catch {
    pages = undefined;
    count.textContent = "The index could not be loaded. Try again in a moment.";
  }
}

query.addEventListener("input", search);
query.form.addEventListener("submit", (event) => {
  event.preventDefault();
  search();
});
query.value = new URLSearchParams(location.search).get("q") ?? "";
if (query.value) search();
