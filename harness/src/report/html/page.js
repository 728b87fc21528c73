'use strict';
// Filters, and verdict logs. What guests wrote is only ever put in as text.
(() => {
  const root = document.documentElement;
  root.classList.add('js');
  const all = (selector, within = document) => [...within.querySelectorAll(selector)];
  const cases = all('.case');
  const search = document.getElementById('search');
  const shown = document.getElementById('shown');
  const make = (name, attributes = {}, text) => {
    const node = document.createElement(name);
    for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
    if (text !== undefined) node.textContent = text;
    return node;
  };

  const texts = new Map();
  const textOf = (one) => {
    if (!texts.has(one)) texts.set(one, one.textContent.toLowerCase());
    return texts.get(one);
  };
  const filter = () => {
    const wanted = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    const kinds = new Set(all('.filters [type=checkbox]').filter((box) => box.checked).map((box) => box.value));
    let count = 0;
    for (const one of cases) {
      const fits = kinds.has(one.dataset.kind) && wanted.every((word) => textOf(one).includes(word));
      one.hidden = !fits;
      if (fits) count += 1;
    }
    shown.textContent = `${count} of ${cases.length} shown`;
  };
  for (const box of all('.filters [type=checkbox]')) box.addEventListener('change', filter);
  search.addEventListener('input', filter);

  // Verdict logs, each made when it is first looked at.
  const micros = (us) => (us < 1000 ? `${us} µs` : us < 1e6 ? `${(us / 1000).toFixed(2)} ms` : `${(us / 1e6).toFixed(3)} s`);
  const SVG = 'http://www.w3.org/2000/svg';
  const rect = (x, width, kind) => {
    const node = document.createElementNS(SVG, 'rect');
    const at = { x, width, y: kind === 'life' ? 8 : 2, height: kind === 'life' ? 4 : 16, class: kind };
    for (const [key, value] of Object.entries(at)) node.setAttribute(key, value);
    return node;
  };
  const PAGE = 200;
  const draw = (place) => {
    const { texts, guests, rows } = JSON.parse(document.getElementById(place.dataset.log).textContent);
    const span = Math.max(1, ...rows.map((row) => row[1]));
    const x = (us) => (us / span) * 1000;
    let guest = null;
    let most = PAGE;
    const lanes = make('div', { class: 'lanes' });
    const tools = make('div', { class: 'tools' });
    const list = make('ol', { class: 'rows' });
    const more = make('button', { type: 'button', class: 'more' });
    const find = make('input', { type: 'search', placeholder: 'Search these verdicts', 'aria-label': 'Search these verdicts' });
    const pick = make('select', { 'aria-label': 'Which verdicts' });
    const told = make('output', { class: 'soft' });
    pick.append(make('option', { value: '' }, 'all verdicts'));
    for (const word of new Set(rows.map((row) => texts[row[3]]))) pick.append(make('option', { value: word }, word));
    const lines = rows.map((row) => [3, 4, 5, 6].map((nth) => texts[row[nth]]).concat(guests[row[2]].name).join(' ').toLowerCase());
    let hits = [];
    const fill = () => {
      list.replaceChildren(...hits.slice(0, most).map((nth) => {
        const row = rows[nth];
        const item = make('li', { 'data-nth': nth });
        item.append(
          make('span', { class: 'soft' }, `#${row[0]}`), make('span', { class: 'soft' }, micros(row[1])),
          make('span', {}, guests[row[2]].name), make('span', {}, texts[row[4]]),
          make('span', { class: texts[row[3]] }, texts[row[5]]), make('span', { class: 'soft' }, texts[row[6]]));
        return item;
      }));
      more.hidden = hits.length <= most;
      more.textContent = `Show ${Math.min(PAGE, hits.length - most)} more`;
      told.textContent = `${hits.length} of ${rows.length}`;
    };
    const update = () => {
      const wanted = find.value.toLowerCase().split(/\s+/).filter(Boolean);
      hits = [];
      rows.forEach((row, nth) => {
        const fits = (guest === null || row[2] === guest) && (!pick.value || texts[row[3]] === pick.value);
        if (fits && wanted.every((word) => lines[nth].includes(word))) hits.push(nth);
      });
      most = PAGE;
      fill();
    };
    guests.forEach((one, nth) => {
      const lane = make('button', { type: 'button', class: 'lane', 'aria-pressed': 'false' });
      const own = rows.filter((row) => row[2] === nth);
      lane.setAttribute('aria-label', `${one.name} ${one.exe}: ${own.length} events; show only these`);
      lane.append(make('span', {}, `${one.name} ${one.exe}`));
      const svg = document.createElementNS(SVG, 'svg');
      svg.setAttribute('viewBox', '0 0 1000 20');
      svg.setAttribute('preserveAspectRatio', 'none');
      svg.setAttribute('aria-hidden', 'true');
      const from = own.length ? own[0][1] : 0;
      const to = own.length ? own[own.length - 1][1] : 0;
      svg.append(rect(x(from), Math.max(1, x(to) - x(from)), 'life'));
      for (const row of own) {
        const word = texts[row[3]];
        svg.append(rect(Math.min(998, x(row[1])), 2, /^(allow|deny|emulate|inject|hold|defer|kill)$/.test(word) ? word : 'event'));
      }
      lane.append(svg);
      lane.addEventListener('click', (event) => {
        const box = svg.getBoundingClientRect();
        // With the mouse into the picture: to the verdict that is nearest there.
        if (event.detail > 0 && event.clientX >= box.left && box.width > 0 && own.length) {
          const at = ((event.clientX - box.left) / box.width) * span;
          const near = own.reduce((one, two) => (Math.abs(two[1] - at) < Math.abs(one[1] - at) ? two : one));
          const nth = rows.indexOf(near);
          if (!hits.includes(nth)) { guest = null; find.value = ''; pick.value = ''; pressed(); update(); }
          most = Math.max(most, hits.indexOf(nth) + 1);
          fill();
          const item = list.querySelector(`[data-nth="${nth}"]`);
          all('.here', list).forEach((old) => old.classList.remove('here'));
          item.classList.add('here');
          item.scrollIntoView({ block: 'nearest' });
          return;
        }
        guest = guest === nth ? null : nth;
        pressed();
        update();
      });
      lanes.append(lane);
    });
    const pressed = () => all('.lane', lanes).forEach((lane, nth) => lane.setAttribute('aria-pressed', String(nth === guest)));
    find.addEventListener('input', update);
    pick.addEventListener('change', update);
    more.addEventListener('click', () => { most += PAGE; fill(); });
    tools.append(find, pick, told);
    const axis = make('div', { class: 'axis', 'aria-hidden': 'true' });
    axis.append(make('span', {}, '0'), make('span', {}, micros(span)));
    place.replaceChildren(lanes, axis, tools, list, more);
    update();
  };
  const look = (one) => {
    if (one.open) all('[data-log]:not([data-drawn])', one).forEach((place) => { place.dataset.drawn = ''; draw(place); });
  };
  for (const one of cases) {
    one.addEventListener('toggle', () => look(one));
    look(one);
  }

  const go = () => {
    const one = document.getElementById(location.hash.slice(1));
    if (one && one.classList.contains('case')) { one.hidden = false; one.open = true; one.scrollIntoView(); }
  };
  addEventListener('hashchange', go);
  addEventListener('beforeprint', () => cases.forEach((one) => { if (one.dataset.kind === 'failed' || one.dataset.kind === 'broken') one.open = true; }));
  addEventListener('keydown', (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || /^(INPUT|SELECT|TEXTAREA)$/.test(event.target.tagName)) return;
    if (event.key === '/') { event.preventDefault(); search.focus(); return; }
    const step = { j: 1, k: -1 }[event.key];
    if (!step) return;
    const heads = cases.filter((one) => !one.hidden).map((one) => one.querySelector('summary'));
    const at = heads.indexOf(document.activeElement);
    const next = heads[at < 0 ? 0 : Math.min(heads.length - 1, Math.max(0, at + step))];
    if (next) next.focus();
  });
  filter();
  go();
})();
