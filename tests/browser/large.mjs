// How long a keystroke in the filter takes until the list is the filtered one, with many alerts.
import { assert, given, test } from './driver.mjs';

await test(async (t) => {
  const page = await t.page();
  await page.goto(`${given.base}/alerts`);
  const took = [];
  for (const text of ['n', 'no', 'nod', 'node', 'node-', 'node-1', 'node-12', 'node-123']) {
    took.push(await page.evaluate(async (typed) => {
      const field = document.querySelector('#filter');
      const list = document.querySelector('#list');
      const begun = performance.now();
      // The list is compared with what the server says, so the answer to this very keystroke is waited for.
      const done = new Promise((resolve) => {
        const watch = new PerformanceObserver((seen) => {
          const entry = seen.getEntries().find(({ name }) => name.endsWith(`filter=${typed}`));
          if (entry) { watch.disconnect(); requestAnimationFrame(() => setTimeout(() => resolve(performance.now() - begun))); }
        });
        watch.observe({ type: 'resource' });
      });
      field.value = typed;
      field.dispatchEvent(new InputEvent('input', { bubbles: true }));
      const time = await done;
      if (![...list.querySelectorAll('.alert')].every((one) => one.textContent.toLowerCase().includes(typed))) throw new Error('not filtered');
      return time;
    }, text));
  }
  took.sort((a, b) => a - b);
  console.log(`keystroke to painted list: median ${took[took.length >> 1].toFixed(0)} ms, worst ${took.at(-1).toFixed(0)} ms`);
  if (given.limitMs) assert.ok(took[took.length >> 1] < given.limitMs);
  await t.close(page);
});
