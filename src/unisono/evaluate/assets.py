"""Style sheet and script of the page: no library, no network, dark and light."""

STYLE = """
:root { color-scheme: light dark; --paper: #fbfaf8; --card: #ffffff; --ink: #22252b; --soft: #666d78; --line: #e3e1dc;
  --c0: #8b929c; --c1: #2f6fb7; --c2: #c9762b; --bad: #b3263a; --wash: #f1eee8; --mark: #fbe3e4; }
@media (prefers-color-scheme: dark) { :root { --paper: #15171b; --card: #1d2026; --ink: #e7e6e3; --soft: #9aa2ae;
  --line: #30343c; --c0: #99a1ac; --c1: #6aa7ec; --c2: #e89a52; --bad: #ff7c87; --wash: #262a31; --mark: #4a2329; } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 1280px; padding: 28px 24px 60px; background: var(--paper); color: var(--ink);
  font: 15px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", sans-serif; }
h1 { font-size: 26px; margin: 0; letter-spacing: -.01em; } h2 { font-size: 18px; margin: 34px 0 10px; }
p, li { max-width: 78ch; } .soft, figcaption, th, .sub { color: var(--soft); } small, .sub { font-size: 13px; }
code { font-size: 13px; background: var(--wash); padding: 1px 5px; border-radius: 4px; }
.cards { display: grid; grid-template-columns: repeat(auto-fit, minmax(208px, 1fr)); gap: 12px; margin: 20px 0; }
.card, .plot { background: var(--card); border: 1px solid var(--line); border-radius: 10px; padding: 12px 14px; }
.card b { display: block; font-size: 25px; font-weight: 600; letter-spacing: -.02em; }
.card span { font-size: 13px; font-weight: 600; } .card .sub { display: block; font-weight: 400; }
.plots { display: grid; grid-template-columns: repeat(auto-fit, minmax(340px, 1fr)); gap: 14px; }
.plot { margin: 0; } .plot figcaption { font-size: 13.5px; margin-bottom: 6px; } .plot b { color: var(--ink); }
svg { width: 100%; height: auto; display: block; } svg text { font-size: 11.5px; fill: var(--soft); }
svg text.strong { fill: var(--ink); font-weight: 600; } svg .grid { stroke: var(--line); fill: none; }
svg .band { fill: var(--wash); } svg .line { fill: none; stroke-width: 2.2; stroke-linejoin: round; }
svg rect.c0 { fill: var(--c0); } svg rect.c1 { fill: var(--c1); } svg rect.c2 { fill: var(--c2); }
.line.c0 { stroke: var(--c0); } .line.c1 { stroke: var(--c1); } .line.c2 { stroke: var(--c2); }
.dot { fill-opacity: .7; } .dot.c0 { fill: var(--c0); } .dot.c1 { fill: var(--c1); } .dot.c2 { fill: var(--c2); }
.dot.failed { stroke: var(--bad); stroke-width: 2; } a:hover .dot { fill-opacity: 1; }
.key i { display: inline-block; width: 11px; height: 11px; border-radius: 3px; margin: 0 5px 0 14px; }
.key i.c0 { background: var(--c0); } .key i.c1 { background: var(--c1); } .key i.c2 { background: var(--c2); }
.scroll { overflow-x: auto; background: var(--card); border: 1px solid var(--line); border-radius: 10px; }
table { border-collapse: collapse; width: 100%; } th, td { padding: 7px 9px; text-align: right; white-space: nowrap; }
th { font-size: 13px; font-weight: 600; border-bottom: 1px solid var(--line); white-space: normal;
  vertical-align: bottom; line-height: 1.25; } td { vertical-align: top; font-variant-numeric: tabular-nums; }
.text { text-align: left; white-space: normal; min-width: 280px; width: 45%; }
.text .tag { display: block; }
th button, .open { all: unset; cursor: pointer; } th button:hover, .open:hover { color: var(--c1); }
th button:focus-visible, .open:focus-visible { outline: 2px solid var(--c1); border-radius: 3px; }
th[aria-sort=ascending] button::after { content: " ↑"; } th[aria-sort=descending] button::after { content: " ↓"; }
tbody.item { border-top: 1px solid var(--line); } tbody.item:target { background: var(--wash); }
.open::before { content: "▸ "; color: var(--soft); } .shown .open::before { content: "▾ "; }
.detail { display: none; } .shown .detail { display: table-row; } .detail > td { padding: 4px 14px 18px; }
.sounds { display: grid; grid-template-columns: repeat(auto-fit, minmax(290px, 1fr)); gap: 16px; }
.sounds figure { margin: 0; text-align: left; white-space: normal; min-width: 0; }
.picture { position: relative; height: 132px; background: #000; border-radius: 6px; overflow: hidden; cursor: pointer; }
.picture img { width: 100%; height: 100%; display: block; } .picture.none { display: grid; place-items: center;
  color: #bbb; cursor: default; } .head { position: absolute; top: 0; bottom: 0; left: 0; width: 2px;
  background: #fff; opacity: 0; } .sounds audio { width: 100%; height: 34px; margin-top: 6px; display: block; }
.heard { font-size: 14px; } del { color: var(--bad); } ins { background: var(--mark); text-decoration: none;
  border-radius: 3px; padding: 0 3px; } .tag { color: var(--bad); font-size: 13px; font-weight: 600; }
.bar { display: flex; gap: 18px; flex-wrap: wrap; align-items: center; margin-bottom: 10px; }
input[type=search] { font: inherit; padding: 5px 10px; border: 1px solid var(--line); border-radius: 7px;
  background: var(--card); color: inherit; min-width: 240px; } a { color: var(--c1); }
ul.failures { padding-left: 18px; } ul.failures li { margin-bottom: 3px; } details summary { cursor: pointer; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: 2px 18px; margin: 8px 0; } dt { color: var(--soft); }
dd { margin: 0; overflow-wrap: anywhere; }
@media print { .detail { display: none !important; } body { max-width: none; } }
"""

SCRIPT = """
'use strict';
const table = document.querySelector('#items');
const bodies = () => [...table.querySelectorAll('tbody.item')];
const show = (body, open) => {
  body.classList.toggle('shown', open);
  body.querySelector('.open').setAttribute('aria-expanded', open);
};
table.addEventListener('click', event => {
  const button = event.target.closest('button');
  if (!button) return;
  if (button.classList.contains('open')) {
    const body = button.closest('tbody');
    show(body, !body.classList.contains('shown'));
    return;
  }
  const head = button.closest('th'), column = head.cellIndex;
  const first = head.dataset.first || 'descending', other = first === 'ascending' ? 'descending' : 'ascending';
  const order = head.getAttribute('aria-sort') === first ? other : first;
  table.querySelectorAll('th').forEach(each => each.removeAttribute('aria-sort'));
  head.setAttribute('aria-sort', order);
  const value = body => body.rows[0].cells[column].dataset.value ?? '';
  const text = head.dataset.kind === 'text', sign = order === 'ascending' ? 1 : -1;
  const sorted = bodies().sort((a, b) => {
    const x = value(a), y = value(b);
    if (x === '' || y === '') return (x === '') - (y === '');
    return sign * (text ? x.localeCompare(y) : x - y);
  });
  table.append(...sorted);
});
const words = document.querySelector('#words'), failed = document.querySelector('#failed');
const filter = () => bodies().forEach(body => {
  const wanted = body.dataset.text.includes(words.value.toLowerCase().trim());
  body.hidden = !wanted || (failed.checked && body.dataset.failed === '0');
});
words.addEventListener('input', filter);
failed.addEventListener('change', filter);
const jump = () => {
  const body = /^#item-\\d+$/.test(location.hash) && document.querySelector(location.hash);
  if (!body) return;
  body.hidden = false;
  show(body, true);
  body.scrollIntoView({block: 'center'});
};
window.addEventListener('hashchange', jump);
jump();
document.querySelectorAll('.sounds figure').forEach(figure => {
  const audio = figure.querySelector('audio'), picture = figure.querySelector('.picture');
  if (!audio) return;
  const head = picture.querySelector('.head'), length = Number(audio.dataset.seconds);
  const draw = () => {
    head.style.left = 100 * Math.min(audio.currentTime / length, 1) + '%';
    head.style.opacity = audio.currentTime > 0 ? 1 : 0;
    if (!audio.paused) requestAnimationFrame(draw);
  };
  audio.addEventListener('play', () => {
    document.querySelectorAll('audio').forEach(other => other === audio || other.pause());
    draw();
  });
  audio.addEventListener('seeked', draw);
  picture.addEventListener('click', event => {
    const box = picture.getBoundingClientRect();
    audio.currentTime = length * (event.clientX - box.left) / box.width;
    audio.play();
  });
});
"""
