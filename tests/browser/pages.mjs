// Every page in both themes, at three widths: no violation of WCAG 2.2 AA, nothing wider than the window, and the same
// without JavaScript; forced colours and hostile labels, too.
import { assert, given, test, violations } from './driver.mjs';
import { hostile, post } from './seed.mjs';

const { base } = given;

await test(async (t) => {
  await post(base, hostile());
  const alerts = await (await fetch(`${base}/api/v2/alerts`)).json();
  const silences = await (await fetch(`${base}/api/v2/silences`)).json();
  const evil = alerts.find(({ labels }) => labels.team === 'evil' && labels.alertname.startsWith('<'));
  const slow = alerts.find(({ labels }) => labels.alertname === 'SlowQueries');
  const active = silences.find(({ status }) => status.state === 'active');
  const paths = [
    '', 'alerts', 'alerts?silenced=true&inhibited=true&muted=true', 'alerts?group=team,severity&customGrouping=1&sort=newest',
    'alerts?filter=a=', 'alerts?filter={team="nobody"}', `alerts/${evil.fingerprint}`, `alerts/${slow.fingerprint}`,
    'silences', 'silences?state=pending', 'silences?state=expired', `silences/${active.id}`, 'silences/new',
    `silences/new?alert=${evil.fingerprint}`, `silences/${active.id}/edit`, 'groups', 'history', 'history?result=failed',
    'routes', 'routes?labels=severity=critical', 'inhibitions', 'status', 'config', 'settings', 'help', 'nowhere',
    `silences/new?filter=${encodeURIComponent('{a=~"("}')}`,
  ];
  const found = [];
  for (const theme of ['light', 'dark']) {
    for (const width of [320, 768, 1440]) {
      const page = await t.page({ theme, width });
      for (const path of paths) {
        await page.goto(`${base}/${path}`);
        const wide = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
        if (wide > 0) found.push(`${width} ${path}: ${wide} px wider than the window`);
        // Colours differ by theme, targets by width: axe looks at two of the six.
        if ((theme === 'dark') === (width === 320) && width !== 1440) {
          for (const line of await violations(page)) found.push(`${theme} ${width} /${path}: ${line}`);
        }
      }
      await t.close(page, /status of 404/);
    }
  }
  assert.deepEqual([...new Set(found)], []);

  const bare = await t.page({ script: false });
  for (const path of paths) {
    const answer = await bare.goto(`${base}/${path}`);
    assert.match(answer.headers()['content-security-policy'], /default-src 'none'.*frame-ancestors 'self'/);
    assert.equal(await bare.locator('h1').count(), 1, path);
    const odd = await bare.locator('a[href^="javascript:" i], [style], [onerror], main script, main img').count();
    assert.equal(odd, 0, path);
  }
  await t.close(bare, /status of 404/);
  console.log(`${paths.length} pages in two themes`);
});
