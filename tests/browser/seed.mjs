// What a bad night looks like: alerts of several teams, some inhibited, some silenced, and hostile ones.

const minutes = (n) => new Date(Date.now() - n * 60_000).toISOString();
const later = (hours) => new Date(Date.now() + hours * 3_600_000).toISOString();

function alert(ago, labels, annotations) {
  return {
    labels,
    annotations: { runbook_url: `https://runbooks.example/${labels.alertname}`, ...annotations },
    startsAt: minutes(ago),
    endsAt: later(6),
    generatorURL: `http://prometheus.example:9090/graph?g0.expr=${labels.alertname}`,
  };
}

/** About thirty alerts in several groups. */
export function night() {
  const out = [];
  for (const n of [1, 2, 3]) {
    out.push(alert(14 + n, { alertname: 'DiskFull', severity: 'critical', team: 'db', cluster: 'eu-1', instance: `db-${n}:9100`, mountpoint: '/var/lib/postgresql' },
      { summary: `Disk of db-${n} is 9${4 + n} % full`, description: 'At the present rate it is full within two hours. Old WAL segments are the usual cause.' }));
  }
  for (const n of [1, 2, 3, 4]) {
    out.push(alert(13, { alertname: 'SlowQueries', severity: 'warning', team: 'db', cluster: 'eu-1', instance: `db-${n}:9100`, database: 'orders' },
      { summary: `p99 of queries is ${2 + n}.4 s on db-${n}` }));
  }
  out.push(alert(9, { alertname: 'ReplicationLag', severity: 'warning', team: 'db', cluster: 'eu-2', instance: 'db-7:9100' }, { summary: 'Replica db-7 is 340 s behind' }));
  for (const zone of ['a', 'b']) {
    out.push(alert(3, { alertname: 'HighErrorRate', severity: 'critical', team: 'web', cluster: 'eu-1', service: 'checkout', zone: `eu-1${zone}`, job: 'checkout' },
      { summary: `12 % of requests to checkout fail in eu-1${zone}`, dashboard: 'https://grafana.example/d/checkout' }));
  }
  for (const n of [1, 2, 3, 4, 5]) {
    out.push(alert(31 + n, { alertname: 'HighLatency', severity: 'warning', team: 'web', cluster: 'us-1', service: 'search', instance: `search-${n}:8080` }, { summary: `p95 of search is ${700 + n * 31} ms` }));
  }
  out.push(alert(240, { alertname: 'CertificateExpiresSoon', severity: 'info', team: 'web', cluster: 'us-1', domain: 'shop.example' }, { summary: 'The certificate of shop.example expires in 12 days' }));
  out.push(alert(4300, { alertname: 'Watchdog', severity: 'none', team: 'ops' }, { summary: 'Always fires, so that you know alerting works' }));
  for (const n of [3, 4, 9]) {
    out.push(alert(55, { alertname: 'BackupMissing', severity: 'warning', team: 'ops', cluster: 'eu-2', job: `backup-${n}` }, { summary: `No backup of volume ${n} for 26 hours` }));
  }
  for (const n of [1, 2]) {
    out.push(alert(120, { alertname: 'NodeRebooting', severity: 'info', team: 'ops', cluster: 'us-1', instance: `worker-${n}:9100` }, { summary: `worker-${n} is being updated` }));
  }
  out.push(alert(2, { alertname: 'QueueGrows', severity: 'error', team: 'ops', cluster: 'eu-1', queue: 'mail' }, { summary: 'The mail queue has 12,400 messages and grows' }));
  return out;
}

/** Texts that must stay texts. */
export function hostile() {
  const evil = '<img src=x onerror="alert(1)"><script>alert(2)</script>';
  return [
    alert(1, { alertname: evil, severity: '"><script>alert(3)</script>', team: 'evil', 'odd name': `a"b\\c\n{}'`, path: '</option></datalist><svg onload=alert(4)>' },
      { summary: evil, runbook_url: 'javascript:alert(5)', link: ' https://x.example/ onmouseover=alert(6)', long: 'x'.repeat(10_000), bidi: '\u202Egnp.exe \u2066', emoji: '🔥🚨' }),
    { ...alert(1, { alertname: 'BadSource', severity: 'warning', team: 'evil' }, { summary: '{{ 7 * 7 }}' }), generatorURL: 'javascript:alert(7)' },
  ];
}

export async function post(base, alerts) {
  const answer = await fetch(`${base}/api/v2/alerts`, { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(alerts) });
  if (!answer.ok) throw new Error(`alerts: ${answer.status} ${await answer.text()}`);
}

export async function silence(base, matchers, { comment = 'Planned work', createdBy = 'anna', hours = 2, start = 0 } = {}) {
  const body = {
    matchers: matchers.map(([name, value, isRegex = false, isEqual = true]) => ({ name, value, isRegex, isEqual })),
    startsAt: start ? later(start) : new Date().toISOString(),
    endsAt: later(start + hours),
    createdBy,
    comment,
  };
  const answer = await fetch(`${base}/api/v2/silences`, { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) });
  if (!answer.ok) throw new Error(`silence: ${answer.status} ${await answer.text()}`);
  return (await answer.json()).silenceID;
}

export async function expire(base, id) {
  await fetch(`${base}/api/v2/silence/${id}`, { method: 'DELETE' });
}

/** The night with its silences. */
export async function seed(base) {
  await post(base, night());
  await silence(base, [['alertname', 'BackupMissing'], ['cluster', 'eu-2']], { comment: 'Backup host is moved to the new rack, INFRA-2214', createdBy: 'anna' });
  await silence(base, [['alertname', 'NodeRebooting'], ['instance', 'worker-.*', true]], { comment: 'Rolling kernel update', createdBy: 'deploy-bot', hours: 0.6 });
  await silence(base, [['service', 'legacy-billing']], { comment: 'Billing is switched off at the end of the month', createdBy: 'tomas', hours: 24 * 9 });
  await silence(base, [['cluster', 'us-1'], ['severity', 'critical', false, false]], { comment: 'Migration of us-1 tonight', createdBy: 'priya', start: 5, hours: 4 });
  await expire(base, await silence(base, [['alertname', 'HighLatency'], ['service', 'search']], { comment: 'Index is rebuilt', createdBy: 'lee' }));
}
