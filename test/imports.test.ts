/** The border of effects, held by a test: who may import what. */
import assert from 'node:assert/strict';
import { globSync, readFileSync } from 'node:fs';
import { test } from 'node:test';

const ROOT = `${import.meta.dirname}/..`;
const FILES = globSync('**/*.ts', {
  cwd: ROOT,
  exclude: file => /^(node_modules|dist)(\/|$)/.test(file),
}).sort();

const importsOf = (file: string): string[] =>
  [...readFileSync(`${ROOT}/${file}`, 'utf8').matchAll(/(?:from|import)\s*\(?\s*'([^']+)'/g)].map(
    m => m[1] as string,
  );

/** Imports as paths from the root, packages as they are. */
const resolved = (file: string): string[] =>
  importsOf(file).map(name =>
    name.startsWith('.') ? new URL(name, `file:///${file}`).pathname.slice(1) : name,
  );

/** Only types are taken over by these; they leave nothing at run time. */
const typeOnly = (file: string, name: string): boolean => {
  const text = readFileSync(`${ROOT}/${file}`, 'utf8');
  const escaped = name.replaceAll(/[.*+?^${}()|[\]\\/]/g, '\\$&');
  return !new RegExp(`import (?!type )[^;]*?'${escaped}'`).test(text);
};

/** No clock, no I/O, no logger: the same input gives the same output. */
const PURE = [
  'ip.ts',
  'config.ts',
  'constants.ts',
  'types.ts',
  'mesh/plan.ts',
  'mesh/peerplan.ts',
  'mesh/networks.ts',
  'mesh/claims.ts',
  'mesh/rank.ts',
  'mesh/unmasked.ts',
  'mesh/routes.ts',
  'mesh/pathmtu.ts',
  'mesh/links.ts',
  'mesh/nft.ts',
  'mesh/wgpeers.ts',
  'mesh/endpoint.ts',
  'mesh/rounds.ts',
  'mesh/diff.ts',
  'mesh/status.ts',
  'mesh/state.ts',
  'mesh/reasons.ts',
  'agent/pace.ts',
  'agent/due.ts',
  'mesh/probewire.ts',
  'uninstall/types.ts',
  'uninstall/own.ts',
  'host/types.ts',
  'host/chains.ts',
  'host/forward.ts',
  'host/legacy.ts',
  'host/findings.ts',
  'cni/ipam.ts',
  'cni/spec.ts',
  'cni/wishes.ts',
  'cni/wire.ts',
  'cni/result.ts',
  'cni/errors.ts',
  'cni/ports.ts',
  'agent/reserved.ts',
  'cni/antispoof.ts',
  'discovery/annotations.ts',
  'discovery/candidates.ts',
  'platform/linux/attrs.ts',
  'platform/linux/wgdump.ts',
  'agent/readiness.ts',
  'doctor/bare.ts',
  'doctor/checks.ts',
  'doctor/features.ts',
  'doctor/grades.ts',
  'discovery/rights.ts',
  'metrics/table.ts',
  'metrics/samples.ts',
  'metrics/docs.ts',
];

const EFFECTS = /^(node:(?!buffer$|util$)|netlink$|pino$|js-yaml$|@kubernetes\/)/;

test('pure files import no effect', () => {
  for (const file of PURE) {
    assert.ok(FILES.includes(file), `${file} is not there`);
    // Concatenated keys are bytes; the package that opens sockets stands beside them.
    const bad = resolved(file).filter(name => EFFECTS.test(name));
    assert.deepEqual(bad, [], `${file} imports ${bad.join(', ')}`);
    assert.doesNotMatch(
      readFileSync(`${ROOT}/${file}`, 'utf8'),
      /Date\.now|performance\.now|Math\.random|new Date\(\)/,
      file,
    );
  }
});

/** Each with its reason. */
const SPAWNS: Readonly<Record<string, string>> = {
  'cni/shim/build.ts': 'a compiler, at build time',
};
const SOCKETS: Readonly<Record<string, string>> = {
  'cni/server.ts': 'the unix socket of the CNI binary',
  'cni/session.ts': 'type of a connection',
  'cni/remote.ts': 'speaks netlink over that socket',
  'agent/http.ts': 'health and status',
  'agent/local.ts': 'kube-proxy’s own port',
  'command/local.ts': 'the agent’s unix socket',
  'dashboard/server.ts': 'the page, on loopback',
  'discovery/client.ts': 'the API server',
  'discovery/kubeconfig.ts': 'what is an address and what a name',
  'discovery/resolve.ts': 'names of force-endpoint',
  'discovery/limited.ts': 'type of an answer that streams',
  'mesh/probe.ts': 'probes inside the tunnel',
};

const product = (file: string): boolean => !/^(test|examples|image|manifests|tools)\//.test(file);

test('only platform/linux starts programs and opens sockets to the kernel', () => {
  for (const file of FILES.filter(product).filter(f => !f.startsWith('platform/linux/'))) {
    const names = resolved(file);
    if (names.includes('node:child_process')) assert.ok(file in SPAWNS, `${file} starts programs`);
    const sockets = names.filter(name =>
      /^(node:(net|dgram|http|https|http2|tls|dns|dns\/promises)|netlink)$/.test(name),
    );
    if (sockets.length > 0) assert.ok(file in SOCKETS, `${file} opens ${sockets.join(', ')}`);
  }
});

test('what is allowed is also needed', () => {
  for (const file of [...Object.keys(SOCKETS), ...Object.keys(SPAWNS)])
    assert.ok(FILES.includes(file) && resolved(file).some(name => /^(node:|netlink$)/.test(name)), file);
});

test('platform imports none of the rooms', () => {
  for (const file of FILES.filter(f => f.startsWith('platform/'))) {
    const bad = resolved(file).filter(name =>
      /^(mesh|cni|discovery|agent|host|policy|test|manifests)\//.test(name),
    );
    assert.deepEqual(bad, [], `${file} imports ${bad.join(', ')}`);
  }
});

test('the product imports nothing of tests, examples and tools', () => {
  for (const file of FILES.filter(product)) {
    const bad = resolved(file).filter(name => /^(test|examples|tools|image)\//.test(name));
    assert.deepEqual(bad, [], `${file} imports ${bad.join(', ')}`);
  }
});

test('mesh and discovery know nothing of the agent but its types and its runner', () => {
  for (const file of FILES.filter(f => /^(mesh|discovery|cni)\//.test(f))) {
    const bad = resolved(file).filter(name => name.startsWith('agent/') && name !== 'agent/runner.ts');
    for (const name of bad)
      assert.ok(
        typeOnly(file, importsOf(file).find(n => n.endsWith(name.split('/').at(-1) as string)) as string),
        `${file} imports ${name}`,
      );
  }
});
