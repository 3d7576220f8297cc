/** The dashboard and the alert rules speak of metrics and labels that exist. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { parse } from 'yaml';
import { type Metric, metrics } from '../../metrics/table.ts';

const FOLDER = `${import.meta.dirname}/../../examples/observe`;

/** Given by Prometheus, and by the scrape configuration of the README. */
const GIVEN = ['instance', 'job', 'le'];

const metricOf = (name: string): Metric | undefined => {
  const all: Readonly<Record<string, Metric>> = metrics;
  const histogram = /^(.*)_(bucket|sum|count)$/.exec(name)?.[1];
  if (histogram !== undefined && all[histogram]?.kind === 'histogram') return all[histogram];
  return all[name]?.kind === 'histogram' ? undefined : all[name];
};

/** What is wrong with an expression, as far as names go. */
function faults(expr: string): readonly string[] {
  const found: string[] = [];
  const used = [...expr.matchAll(/\b(?:weft|process)_[a-z_]+/g)].map(m => m[0]);
  for (const name of used) if (metricOf(name) === undefined) found.push(`no metric ${name}`);
  const labels = new Set([...GIVEN, ...used.flatMap(name => metricOf(name)?.labels ?? [])]);
  const matched = [...expr.matchAll(/([a-z_]+)(?:=~|!~|!=|=)"/g)].map(m => m[1] as string);
  const grouped = [...expr.matchAll(/\b(?:by|on) \(([^)]*)\)/g)].flatMap(m => (m[1] as string).split(/,\s*/));
  for (const label of [...matched, ...grouped]) if (!labels.has(label)) found.push(`no label ${label}`);
  if (used.length === 0 && !expr.startsWith('up{')) found.push('no metric of weft');
  return found;
}

type Rule = {
  readonly alert: string;
  readonly expr: string;
  readonly labels: { readonly severity: string };
  readonly annotations: { readonly summary: string; readonly description: string };
};

const rules = (
  parse(readFileSync(`${FOLDER}/alerts.yaml`, 'utf8')) as { groups: { rules: Rule[] }[] }
).groups.flatMap(group => group.rules);

test('every alert speaks of what exists, and says what to do', () => {
  assert.ok(rules.length >= 10);
  assert.equal(new Set(rules.map(r => r.alert)).size, rules.length);
  for (const { alert, expr, labels, annotations } of rules) {
    assert.deepEqual(faults(expr), [], alert);
    assert.match(alert, /^Weft[A-Za-z]+$/);
    assert.match(labels.severity, /^(critical|warning|info)$/);
    assert.ok(annotations.summary.length > 10 && annotations.description.length > 10, alert);
  }
});

test('every panel of the dashboard speaks of what exists, and has a place of its own', () => {
  const { panels } = JSON.parse(readFileSync(`${FOLDER}/dashboard.json`, 'utf8')) as {
    panels: {
      readonly title: string;
      readonly targets: readonly { readonly expr: string }[];
      readonly gridPos: Readonly<Record<'x' | 'y' | 'w' | 'h', number>>;
    }[];
  };
  assert.ok(panels.length >= 15);
  for (const { title, targets } of panels)
    for (const { expr } of targets) assert.deepEqual(faults(expr.replaceAll('$node', 'n')), [], title);
  const cells = panels.flatMap(({ gridPos: { x, y, w, h } }) =>
    Array.from({ length: w * h }, (_, i) => `${x + (i % w)},${y + Math.floor(i / w)}`),
  );
  assert.equal(new Set(cells).size, cells.length, 'panels overlap');
});

test('names that do not exist are found', () => {
  assert.deepEqual(faults('weft_peerz > 0'), ['no metric weft_peerz']);
  assert.deepEqual(faults('sum by (node) (weft_peers{status="x"})'), ['no label status', 'no label node']);
  assert.deepEqual(faults('weft_cni_duration_seconds'), ['no metric weft_cni_duration_seconds']);
  assert.deepEqual(faults('weft_pods_count'), ['no metric weft_pods_count']);
});
