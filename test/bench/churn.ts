import { readFileSync } from 'node:fs';
import { startLab, untilInstalled } from '../lab/lab.ts';
import { inside, reenter } from '../lab/reenter.ts';
import { guardOthers, guardPods } from './guarded.ts';
import { weftList } from './lists.ts';
import { call, newId, newSide, settled } from './plugin.ts';
import { median, quantile } from './stats.ts';
if (!inside())
  process.exit(await reenter([process.execPath, import.meta.filename, ...process.argv.slice(2)]));
const mode = process.argv[2] ?? 'pods';
const n = Number(process.argv[3] ?? 100);
const lab = await startLab();
const node = await lab.join(1);
await untilInstalled(node);
const side = await newSide(node.namespace, weftList(node), {
  pods: 20,
  services: Number(process.env.SERVICES ?? 1000),
});
if (mode !== 'none') await guardPods(lab, node, 20);
if (mode === 'others') await guardOthers(lab, node);
const adds: number[] = [],
  dels: number[] = [];
const s0 = (await node.status())?.reconcile;
const t0 = performance.now();
for (let i = 0; i < n; i += 1) {
  const id = newId();
  const pod = side.pods[i % 20]!;
  adds.push(await call(side, 'ADD', id, pod));
  dels.push(await call(side, 'DEL', id, pod));
  if (!process.env.NOSETTLE) await settled(side);
}
const s1 = (await node.status())?.reconcile;
console.log(
  mode,
  'ADD median',
  median(adds).toFixed(2),
  'p10',
  quantile(adds, 0.1).toFixed(2),
  'p90',
  quantile(adds, 0.9).toFixed(2),
  'DEL',
  median(dels).toFixed(2),
  'spawns',
  s1!.spawns - s0!.spawns,
  'in',
  ((performance.now() - t0) / 1000).toFixed(1),
  's',
);
if (process.env.WEFT_SPAWNLOG) {
  const lines = readFileSync(node.logFile, 'utf8')
    .split('\n')
    .filter(l => l.startsWith('SPAWN'));
  const from = lines.length - (s1!.spawns - s0!.spawns);
  const by = new Map<string, number>();
  for (const l of lines.slice(from)) {
    const k = l
      .split(' ')
      .slice(2)
      .join(' ')
      .replace(/wv\S+/g, 'wv*')
      .replace(/10\.42\.\S+|fd42\S+/g, 'IP');
    by.set(k, (by.get(k) ?? 0) + 1);
  }
  for (const [k, c] of [...by].sort((a, b) => b[1] - a[1])) console.log(c, k);
}
side.driver.end();
await lab.end();
