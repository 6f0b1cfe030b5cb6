// The one script of the pages. Everything works without it: it keeps pages fresh, answers while one types, and knows keys.
'use strict';
(() => {
  const $ = (query, from = document) => from.querySelector(query);
  const $$ = (query, from = document) => [...from.querySelectorAll(query)];
  const saved = (name, value) => {
    try {
      if (value === undefined) return localStorage.getItem(name) ?? '';
      if (value === '') localStorage.removeItem(name); else localStorage.setItem(name, value);
    } catch { /* a browser that keeps nothing */ }
    return '';
  };

  // Look, before the first paint.
  const dress = () => {
    for (const name of ['theme', 'density']) document.documentElement.dataset[name] = saved(name);
  };
  dress();

  // Addresses of Alertmanager's page: everything behind `#/` is a path of ours.
  const old = () => {
    const found = /^#\/(alerts|silences|status|settings)?(.*)$/.exec(location.hash);
    if (!found) return false;
    const root = new URL($('script[src*="assets/script-"]').getAttribute('src').replace(/assets\/.*/, ''), location.href);
    location.replace(new URL((found[1] ?? 'alerts') + found[2].replace(/^\/(?=$|\?)/, ''), root));
    return true;
  };
  addEventListener('hashchange', old);
  if (old()) return;

  // Times.
  const unit = [[1209600, 'w', 604800, 'd', 86400], [86400, 'd', 86400, 'h', 3600], [3600, 'h', 3600, 'min', 60]];
  const span = (s) => {
    for (const [from, large, size, small, less] of unit) {
      if (s < from) continue;
      const rest = Math.floor(s % size / less);
      return `${Math.floor(s / size)} ${large}${rest ? ` ${rest} ${small}` : ''}`;
    }
    return s < 60 ? `${s} s` : `${Math.floor(s / 60)} min`;
  };
  const pad = (n) => String(n).padStart(2, '0');
  const exact = (at) => saved('zone') === 'local'
    ? `${at.getFullYear()}-${pad(at.getMonth() + 1)}-${pad(at.getDate())} ${pad(at.getHours())}:${pad(at.getMinutes())}:${pad(at.getSeconds())}`
    : `${at.toISOString().slice(0, 19).replace('T', ' ')} UTC`;
  let ahead = 0; // the server's clock minus ours
  const times = () => {
    for (const time of $$('time')) {
      const at = new Date(time.dateTime);
      const text = exact(at);
      if (!time.classList.contains('ago')) { time.textContent = text; continue; }
      const gap = Math.round((Date.now() + ahead - at) / 1000);
      time.title = text;
      time.textContent = gap === 0 ? 'now' : gap > 0 ? `${span(gap)} ago` : `in ${span(-gap)}`;
    }
  };

  // Makes a part of the page like a newer one and leaves alone what the reader holds: focus, ticks, open details, typed text.
  const key = (node) => node.dataset?.key ?? node.id ?? '';
  /** Fields that the reader touched after `until` keep what is in them. */
  const morph = (from, to, until) => {
    if (from.nodeName !== to.nodeName || key(from) !== key(to)) return from.replaceWith(to);
    if (from.nodeType !== 1) {
      if (from.data !== to.data) from.data = to.data;
      return;
    }
    for (const { name, value } of [...to.attributes]) {
      if (name !== 'open' && from.getAttribute(name) !== value) from.setAttribute(name, value);
    }
    for (const { name } of [...from.attributes]) {
      if (name !== 'open' && name !== 'data-at' && !to.hasAttribute(name)) from.removeAttribute(name);
    }
    if (from.matches('input, select')) {
      if (from === document.activeElement || from.touched > until) return;
      if (from.type === 'checkbox') return;
      if (from.nodeName === 'INPUT') { from.value = to.getAttribute('value') ?? ''; return; }
    }
    const keyed = new Map($$(':scope > *', from).filter(key).map((node) => [key(node), node]));
    let here = from.firstChild;
    for (const next of [...to.childNodes]) {
      const name = key(next);
      const found = name ? keyed.get(name) : here && !key(here) && here.nodeName === next.nodeName ? here : null;
      if (!found) { from.insertBefore(next, here); continue; }
      if (found === here) here = here.nextSibling; else from.insertBefore(found, here);
      morph(found, next, until);
    }
    while (here) {
      const next = here.nextSibling;
      here.remove();
      here = next;
    }
    if (from.nodeName === 'SELECT' && from !== document.activeElement) from.value = $('option[selected]', from)?.value ?? from.options[0]?.value;
  };

  let asked = 0;
  let running;
  /** Fetches a page and takes over the parts named; the newest request wins. */
  const load = async (url, { parts = ['#top', '#banners', '#main', '#foot'], options = {}, force = false } = {}) => {
    const mine = ++asked;
    const until = force ? performance.now() : 0;
    running?.abort();
    running = new AbortController();
    let answer;
    try {
      answer = await fetch(url, { signal: running.signal, headers: { accept: 'text/html' }, ...options });
      if (answer.redirected && options.method) { location.assign(answer.url); return; }
      const page = new DOMParser().parseFromString(await answer.text(), 'text/html');
      if (mine !== asked) return;
      const now = $('#foot time', page);
      if (now) ahead = Math.round((new Date(now.dateTime) - Date.now()) / 1000) * 1000;
      document.title = page.title || document.title;
      for (const part of parts) {
        const [from, to] = [$(part), $(part, page)];
        if (from && to) morph(from, to, until);
      }
      times();
      picked();
    } catch (error) {
      if (error.name !== 'AbortError') lost();
    }
  };
  const visit = (url, replace) => {
    history[replace ? 'replaceState' : 'pushState'](null, '', url);
    return load(url);
  };
  addEventListener('popstate', () => { if (!old()) load(location.href, { force: true }); });
  const query = (form, button) => {
    const url = new URL(form.action);
    const data = new FormData(form);
    if (button?.name) data.append(button.name, button.value);
    url.search = new URLSearchParams([...data].filter(([, value]) => value !== '')).toString();
    return url;
  };

  // Freshness.
  let stream, heard, late, since, start;
  const topics = () => document.body.dataset.topics.split(' ');
  const reading = () => !getSelection().isCollapsed || $('form[data-form]');
  const still = () => saved('refresh') === 'off';
  const refresh = (all) => {
    const typed = $('[data-type]');
    if (reading() || !all) return load(location.href, { parts: ['#top', '#banners'] });
    if (typed && typed.value !== typed.defaultValue) return load(query(typed.form), { parts: ['#top', '#banners', ...typing] });
    return load(location.href);
  };
  const typing = ['#problem', '#list', '.strip'];
  const lost = () => {
    since ??= new Date(Date.now() + ahead);
    if ($('#lost')) return;
    const note = document.createElement('p');
    note.id = 'lost';
    note.className = 'banner bad';
    note.textContent = `No connection to this node. What you see is from ${exact(since)}; trying again.`;
    $('#banners').before(note);
    note.setAttribute('role', 'alert');
  };
  const found = () => { since = undefined; $('#lost')?.remove(); };
  const alive = () => { heard = Date.now(); };
  const listen = () => {
    stream?.close();
    clearInterval(late);
    if (still() || document.hidden || !topics().join('')) return;
    alive();
    stream = new EventSource(new URL(`${document.body.dataset.root}events`, document.baseURI));
    stream.addEventListener('hello', ({ data }) => {
      alive();
      const again = since || (start && start !== data);
      start = data;
      found();
      if (again) refresh(true);
    });
    stream.addEventListener('beat', alive);
    stream.addEventListener('changed', ({ data }) => {
      alive();
      const changed = data.split(' ');
      if (changed.includes('cluster')) refresh(true);
      else if (topics().some((topic) => changed.includes(topic))) refresh(true);
    });
    stream.onerror = lost;
    late = setInterval(() => {
      if (Date.now() - heard > 4000) { lost(); listen(); } else if (stream.readyState === 2) listen();
    }, 1000);
  };
  document.addEventListener('visibilitychange', () => {
    if (!still() && !document.hidden) refresh(true);
    listen();
  });

  // What is ticked.
  const picked = () => {
    const count = $$('#list .pick:checked').length;
    const bar = $('.pickbar');
    if (!bar) return;
    $('[data-picked]', bar).textContent = `${count} selected`;
    bar.hidden = count === 0;
  };

  const field = (target) => target.matches?.('input, select, textarea');
  const ready = () => {
    times();
    setInterval(times, 10000);
    setInterval(() => { if (!still() && !document.hidden) refresh(true); }, 30000);
    picked();
    listen();

    document.addEventListener('click', (event) => {
      const link = event.target.closest?.('a');
      const chip = event.target.closest?.('button.chip');
      if (chip && (event.altKey || event.shiftKey)) chip.value = chip.value.replace(/^("(?:[^"\\]|\\.)*"|[^=]*)=/, '$1!=');
      if (!link || event.metaKey || event.ctrlKey || event.shiftKey || event.button) return;
      if (link.matches('[data-copy]') && navigator.clipboard) {
        event.preventDefault();
        navigator.clipboard.writeText(link.href).then(() => {
          const text = link.textContent;
          link.textContent = 'Copied';
          setTimeout(() => { link.textContent = text; }, 1500);
        });
      } else if (link.matches('[data-refresh]')) {
        event.preventDefault();
        refresh(true);
      } else if (link.matches('[data-soft]')) {
        event.preventDefault();
        visit(link.href);
      }
    });
    document.addEventListener('submit', (event) => {
      const form = event.target;
      const button = event.submitter;
      if (form.matches('[data-soft]')) {
        event.preventDefault();
        visit(query(form, button)).then(() => {
          const typed = $('[data-type]', form);
          if (typed && form.id === 'filters') typed.value = '';
        });
      } else if (form.matches('[data-form]')) {
        saved('defaultCreator', $('[data-creator]', form).value);
        if (button?.name === 'do' && button.value === 'save') return;
        event.preventDefault();
        compute(form, button);
      }
    });
    document.addEventListener('input', ({ target }) => {
      target.touched = performance.now();
      if (target.matches('[data-type]')) {
        const url = query(target.form);
        load(url, { parts: typing });
      }
    });
    document.addEventListener('change', (event) => {
      const { target } = event;
      if (target.matches('.pick')) picked();
      if (target.matches('[data-go]')) {
        if (target.name === 'group') $('[name=customGrouping]', target.form).checked = target.value !== '';
        target.form.requestSubmit();
      }
      const form = target.closest('form');
      if (form?.matches('[data-form]') && !target.matches('[name=creator], [name=comment]')) compute(form);
      if (form?.matches('[data-settings]')) {
        saved(target.name, target.value);
        dress();
        times();
        listen();
        $('#saved').textContent = 'Saved.';
      }
    });
    document.addEventListener('reset', () => setTimeout(() => {
      for (const box of $$('.pick:checked')) box.checked = false;
      picked();
    }));
    const compute = (form, button) => {
      const data = new URLSearchParams(new FormData(form));
      data.append(button?.name || 'do', button?.value || 'preview');
      return load(form.action, { parts: ['#banners', '#main'], options: { method: 'POST', body: data }, force: true });
    };

    const form = $('form[data-form]');
    if (form) {
      const creator = $('[data-creator]', form);
      if (!creator.value) creator.value = saved('defaultCreator');
      if (saved('zone') === 'local' && !form.zone.value) {
        form.zone.value = Intl.DateTimeFormat().resolvedOptions().timeZone;
        if (form.by.value === 'length') compute(form); else location.replace(`${location.pathname}${location.search || '?'}&zone=${encodeURIComponent(form.zone.value)}`);
      }
    }
    const settings = $('form[data-settings]');
    if (settings) for (const one of settings.elements) one.value = saved(one.name) || one.value;
    if (/^alerts/.test(saved('startView')) && /\/$/.test(location.pathname) && !location.search) location.replace(saved('startView'));

    // Keys.
    let row = -1;
    let prefix = false;
    const rows = () => $$('.alert, .silence');
    const move = (by) => {
      const all = rows();
      if (!all.length) return;
      all[row]?.removeAttribute('data-at');
      row = Math.max(0, Math.min(all.length - 1, row + by));
      all[row].setAttribute('data-at', '');
      all[row].scrollIntoView({ block: 'nearest' });
      $('a.name', all[row]).focus({ preventScroll: true });
    };
    const go = { a: 'alerts', s: 'silences', g: 'groups', h: 'history', r: 'routes', t: 'status' };
    document.addEventListener('keydown', (event) => {
      if (event.key === 'Escape') { document.activeElement?.blur(); return; }
      if (saved('keys') === 'off' || event.ctrlKey || event.metaKey || event.altKey || field(event.target) && event.target.type !== 'checkbox') return;
      const at = rows()[row];
      const root = document.body.dataset.root;
      const acts = {
        '/': () => $('#filter, #labels')?.focus(),
        '?': () => location.assign(`${root}help`),
        j: () => move(1),
        k: () => move(-1),
        x: () => $('.pick', at)?.click(),
        e: () => { const notes = at && $('details', at); if (notes) notes.open = !notes.open; },
        s: () => { if ($$('.pick:checked').length && $('#pick')) $('#pick').requestSubmit(); else if (at) $('a.act', at)?.click(); },
        g: () => { prefix = true; setTimeout(() => { prefix = false; }, 1000); },
      };
      const act = prefix && go[event.key] ? () => location.assign(root + go[event.key]) : acts[event.key];
      if (!act) return;
      event.preventDefault();
      act();
    });
  };
  if (document.readyState === 'loading') document.addEventListener('DOMContentLoaded', ready); else ready();
})();
