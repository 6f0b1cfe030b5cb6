// Pictures of every page, for people to look at before a release:
//   node tests/browser/shots.mjs '{"base": "http://127.0.0.1:9093", "into": "DIRECTORY"}'
// against a node with alerts (seed.mjs). Not a test.
import { mkdirSync } from 'node:fs';
import { given, test } from './driver.mjs';

const WIDTHS = given.widths ?? [360, 768, 1440];

await test(async (t) => {
  mkdirSync(given.into, { recursive: true });
  const [alert] = await (await fetch(`${given.base}/api/v2/alerts?filter=alertname="SlowQueries"`)).json();
  const silences = await (await fetch(`${given.base}/api/v2/silences`)).json();
  const active = silences.find(({ status }) => status.state === 'active');
  const pages = {
    alerts: 'alerts', every: 'alerts?silenced=true&inhibited=true&muted=true', alert: `alerts/${alert.fingerprint}`,
    silences: 'silences', silence: `silences/${active.id}`, new: `silences/new?alert=${alert.fingerprint}`,
    groups: 'groups', history: 'history', routes: 'routes?labels=alertname=DiskFull severity=critical team=db', status: 'status',
    config: 'config', settings: 'settings', help: 'help', inhibitions: 'inhibitions', missing: 'nowhere',
  };
  for (const theme of given.themes ?? ['light', 'dark']) {
    for (const width of WIDTHS) {
      const page = await t.page({ theme, width, height: width < 500 ? 780 : 900 });
      for (const [name, path] of Object.entries(pages)) {
        if (given.only && !given.only.includes(name)) continue;
        await page.goto(`${given.base}/${path}`);
        await page.screenshot({ path: `${given.into}/${name}-${theme}-${width}.png`, fullPage: given.full ?? false });
      }
      await t.close(page, /404/);
    }
  }
});
