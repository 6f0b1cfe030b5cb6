// Fills a server with the alerts and silences of seed.mjs.
import { given } from './driver.mjs';
import { seed } from './seed.mjs';

await seed(given.base);
