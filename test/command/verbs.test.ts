/** What the verbs say of a mesh, for people and for programs: golden files, since both are promises. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { test } from 'node:test';
import { EXIT } from '../../command/types.ts';
import { verbs } from '../../command/verbs.ts';
import { golden } from '../golden.ts';
import { agents, said } from './sample.ts';

const file = (name: string): string => `${import.meta.dirname}/golden/${name}`;

const remote = { agents: async () => agents() };
const local = { agents: async () => agents('local') };

for (const verb of ['status', 'peers', 'graph', 'ping', 'doctor'] as const) {
  test(`${verb}, for people`, async () => {
    const { code, out, err } = await said([verb], remote);
    assert.equal(err, '');
    assert.equal(code, EXIT.trouble);
    golden(file(`${verb}.txt`), out);
  });

  test(`${verb}, for programs`, async () => {
    const { code, out } = await said([verb, '-o', 'json'], remote);
    assert.equal(code, EXIT.trouble);
    golden(file(`${verb}.json`), out);
  });
}

test('a full podCIDR is trouble of its node, with what to do', async () => {
  const full = {
    ...agents(),
    get: async (node: string, path: string): Promise<unknown> => {
      const report = (await agents().get(node, path)) as { readonly cni: object };
      const pool = { cidr: '10.42.2.0/28', family: 4, size: '13', used: 13, cooling: 0, free: '0' };
      return node === 'node2' ? { ...report, cni: { ...report.cni, pools: [pool] } } : report;
    },
  };
  const { out, code } = await said(['status'], { agents: async () => full });
  assert.equal(code, EXIT.trouble);
  assert.match(out, /pods +3; fullest podCIDR 10\.42\.2\.0\/28: 13 of 13 addresses used \(node2\)/);
  assert.match(
    out,
    /node2, pod addresses: podCIDR .*: no further pod starts here\. Cure: fewer pods on this node/,
  );
});

test('a node without WireGuard is said once, not as trouble with each of its peers, and the others know', async () => {
  const mute = {
    ...agents(),
    get: async (node: string, path: string): Promise<unknown> => {
      const report = (await agents().get(node, path)) as object;
      return node === 'node1' ? { ...report, engine: { kind: 'none', reason: 'no module' } } : report;
    },
  };
  const { out } = await said(['status'], { agents: async () => mute });
  assert.doesNotMatch(out, /node1, peer/);
  assert.match(out, /node3, peer node1: retrying: .*; node1 has no WireGuard now: see what is said of it/);
});

test('status on a node speaks of that node', async () => {
  golden(file('status.local.txt'), (await said(['status'], local)).out);
});

test('one node alone is asked for with --node, and a wrong name is said', async () => {
  const one = await said(['peers', '--node', 'node2'], remote);
  assert.equal(one.code, EXIT.ok);
  assert.doesNotMatch(one.out, /node3 +node1/);
  const none = await said(['peers', '--node', 'nodeX'], remote);
  assert.equal(none.code, EXIT.unreachable);
  assert.match(none.err, /no weft agent on a node nodeX/);
});

test('peers --trouble leaves out those that are well', async () => {
  const { out } = await said(['peers', '--trouble', '-o', 'json'], remote);
  const shown = (JSON.parse(out) as { peers: { from: string; node: string; reason: string }[] }).peers;
  assert.deepEqual(
    shown.map(p => `${p.from} ${p.node}`),
    ['node1 node3', 'node3 node1'],
  );
  assert.match(shown[1]?.reason ?? '', /; node1 does receive from node3: only the way back is cut$/);
});

test('ping asks what it is told, with a node’s own view of who is meant', async () => {
  const asked: string[] = [];
  await said(['ping', 'node1', 'node2', '--full', '-c', '5'], {
    agents: async () => agents('remote', asked),
  });
  await said(['ping', 'node2'], { agents: async () => agents('local', asked) });
  assert.deepEqual(asked, [
    'node1 /ping?size=full&count=5&node=node2',
    'node1 /ping?size=64&count=3&node=node2',
  ]);
});

test('graph as DOT colours its edges by state', async () => {
  const { out } = await said(['graph', '--dot'], remote);
  assert.match(out, /"node1" -- "node2" \[color="#2e7d32", label="12 ms"\];/);
  assert.match(out, /"node1" -- "node3" \[color="#8e24aa", label="retrying", style=dashed\];/);
});

test('colours only where the terminal has them', async () => {
  const green = '\u001b[32mestablished';
  assert.ok(!(await said(['peers'], remote)).out.includes('\u001b'));
  assert.ok((await said(['peers'], { ...remote, color: true })).out.includes(green));
});

test('get prints JSON and text as they are, and asks which node where there are several', async () => {
  assert.equal((await said(['get', '/readyz', '-n', 'node2'], remote)).out, 'ok: kernel\n');
  assert.equal(JSON.parse((await said(['get', '/status'], local)).out).node, 'node1');
  assert.match((await said(['get', '/status'], remote)).err, /say --node NAME/);
});

test('where no agent answers, that is an error and no empty table', async () => {
  const dead = {
    ...agents(),
    get: async () => {
      throw new Error('connection refused');
    },
  };
  const { code, err } = await said(['status'], { agents: async () => dead });
  assert.equal(code, EXIT.unreachable);
  assert.match(err, /no agent answers; node1: connection refused/);
});

const explain = (from: string, to: string, more = {}) => said(['explain', from, to], { ...remote, ...more });

/** Agents that let nothing but TCP 5432 into node2. */
const withPolicy = (asked: string[] = []) => ({
  agents: async () => {
    const sample = agents();
    const get = async (node: string, path: string): Promise<unknown> => {
      if (!path.startsWith('/policy?')) return sample.get(node, path);
      asked.push(`${node} ${path}`);
      const packet = new URLSearchParams(path.slice(8));
      const allowed = packet.get('port') === '5432' || !packet.get('dst')?.startsWith('10.42.2.');
      return {
        allowed,
        words: [`${packet.get('protocol')} ${packet.get('port')}: ${allowed ? 'allowed' : 'denied'}`],
      };
    };
    return { ...sample, get };
  },
});

test('explain: the way, the tunnel and the policies, for each kind of end', async () => {
  const stories = [
    await explain('web-1', 'web-2:5432', withPolicy()),
    await explain('web-1', 'web-2:80', withPolicy()),
    await explain('web-1', 'web-3', withPolicy()),
    await explain('web-2', 'web-2', withPolicy()),
    await explain('10.42.1.1', '10.42.2.99:80', withPolicy()),
    await explain('web-1', '10.42.77.1', withPolicy()),
    await explain('web-1', '198.51.100.1:443', withPolicy()),
    await explain('198.51.100.1', 'web-1', withPolicy()),
    await explain('web-1', 'web-3:53/udp', local),
  ];
  golden(file('explain.txt'), stories.map(s => `${s.out}${s.err}exit ${s.code}\n`).join('\n'));
});

test('explain, for programs, and what it cannot find', async () => {
  const { out } = await said(['explain', 'web-1', 'web-2:5432', '-o', 'json'], withPolicy());
  golden(file('explain.json'), out);
  const none = await explain('shop/cart', 'web-1');
  assert.match(none.err, /shop\/cart is known to no agent that was asked/);
  assert.equal(none.code, EXIT.unreachable);
  for (const wrong of ['web-1:0', 'Web', 'a/b/c', '[web]:80'])
    assert.equal((await explain('web-1', wrong)).code, EXIT.usage, wrong);
});

test('explain asks the far end for policies, and the near one where it cannot be asked', async () => {
  const asked: string[] = [];
  await explain('web-1', 'web-2:80', withPolicy(asked));
  assert.deepEqual(asked, ['node2 /policy?src=10.42.1.7&dst=10.42.2.7&protocol=TCP&port=80']);
  const half = {
    ...agents(),
    get: async (node: string, path: string): Promise<unknown> => {
      if (path === '/status') return agents().get(node, path);
      if (node === 'node2') throw new Error('it has just gone');
      return { allowed: true, words: [`${node} says`] };
    },
  };
  const { out, code } = await explain('web-1', 'web-2', { agents: async () => half });
  assert.match(out, /node1 says/);
  assert.equal(code, EXIT.ok);
});

test('plan: a file of Nodes, what is wrong in it, and the whole of one node', async () => {
  const path = `${import.meta.dirname}/nodes.yaml`;
  const all = await said(['plan', path]);
  assert.equal(all.code, EXIT.trouble);
  const one = await said(['plan', path, '-n', 'a', '--full']);
  golden(file('plan.txt'), `${all.out}\n${one.out}`);
  golden(file('plan.json'), (await said(['plan', path, '-n', 'a', '-o', 'json'])).out);
  assert.match((await said(['plan', path, '-n', 'z'])).err, /there is no Node z/);
  assert.equal((await said(['plan', '/nowhere'])).code, EXIT.usage);
});

test('completion knows every verb and its options, in the words of three shells', async () => {
  for (const shell of ['bash', 'zsh', 'fish']) {
    const { out, code } = await said(['completion', shell]);
    assert.equal(code, EXIT.ok);
    for (const verb of Object.keys(verbs)) assert.ok(out.includes(verb), `${shell} ${verb}`);
    assert.match(out, /trouble/);
  }
  assert.equal((await said(['completion', 'csh'])).code, EXIT.usage);
  const { out } = await said(['completion', 'bash']);
  const script = `${out}\nCOMP_WORDS=(weft peers --t); COMP_CWORD=2; _weft; echo "\${COMPREPLY[@]}"`;
  assert.equal(spawnSync('bash', ['--norc', '-c', script], { encoding: 'utf8' }).stdout, '--trouble\n');
});
