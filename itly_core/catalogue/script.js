
"use strict";
(() => {
  const form = document.getElementById("filters");
  const search = document.getElementById("search");
  const found = document.getElementById("found");
  const choices = [...form.querySelectorAll("select")];
  const events = [...document.querySelectorAll("#events > article")];
  const links = [...document.querySelectorAll("nav ul[data-filtered] > li")];

  const matches = (event, words) =>
    words.every((word) => event.dataset.search.includes(word)) &&
    choices.every((choice) => {
      if (!choice.value) return true;
      return JSON.parse(event.dataset[choice.dataset.choice]).includes(choice.value);
    });

  const filter = () => {
    const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    let shown = 0;
    events.forEach((event, number) => {
      const is = matches(event, words);
      event.hidden = !is;
      if (links[number]) links[number].hidden = !is;
      shown += is;
    });
    found.textContent = shown === events.length ? "" : `${shown} of ${events.length} events`;
  };

  form.hidden = false;
  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("input", filter);
  document.addEventListener("keydown", (event) => {
    if (event.key === "/" && !/^(INPUT|SELECT|TEXTAREA)$/.test(document.activeElement.tagName)) {
      event.preventDefault();
      search.focus();
    }
  });
  window.addEventListener("hashchange", () => {
    const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
    if (target && target.hidden) {
      form.reset();
      filter();
      target.scrollIntoView();
    }
  });
  filter();
})();
