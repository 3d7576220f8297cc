/** A shop of three pods on two nodes: all closed, then what is needed opened. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseAllDocuments } from 'yaml';
import { NAMESPACES, NETWORKPOLICIES, PODS } from '../../test/apiserver/resources.ts';
import { type Lab, type Member, untilMeshed } from '../../test/lab/lab.ts';
import { addPod, type Pod } from '../../test/lab/runtime.ts';
import { until } from '../../test/lab/wait.ts';
import { buildProber, type Prober, startProber } from '../../test/policy/prober.ts';
import { runExample } from '../run.ts';

const SHOP = 'shop';

type Part = { readonly name: string; readonly pod: Pod; readonly prober: Prober };

async function open(lab: Lab, node: Member, name: string, program: string): Promise<Part> {
  const { store } = lab.api;
  const object = store.create(PODS, SHOP, {
    metadata: { name, labels: { app: name } },
    spec: { nodeName: node.name, containers: [{ name: 'c', image: 'i' }] },
  }) as { readonly metadata: { readonly uid: string } };
  const pod = await addPod(node, { name, namespace: SHOP, uid: object.metadata.uid });
  const podIPs = [pod.v4, pod.v6].map(ip => ({ ip }));
  store.patch(PODS, SHOP, name, { status: { phase: 'Running', podIP: pod.v4, podIPs } } as never, 'status');
  return { name, pod, prober: await startProber(pod.namespace, program, [80]) };
}

/** `page → store`: who has an answer. */
async function open80(parts: readonly Part[]): Promise<readonly string[]> {
  const pairs = parts.flatMap(from => parts.filter(to => to !== from).map(to => ({ from, to })));
  const tried = await Promise.all(
    pairs.map(async ({ from, to }) => {
      const replies = await Promise.all(
        [to.pod.v4, to.pod.v6].map(ip => from.prober.try('tcp', ip ?? '', 80, 300)),
      );
      return replies.every(reply => reply.ok) ? [`${from.name} → ${to.name}`] : [];
    }),
  );
  return tried.flat();
}

const apply = (lab: Lab, file: string): void => {
  for (const document of parseAllDocuments(readFileSync(join(import.meta.dirname, file), 'utf8')))
    lab.api.store.create(NETWORKPOLICIES, SHOP, document.toJS());
};

await runExample(import.meta.filename, async ({ lab, say }) => {
  const program = buildProber();
  const nodes = await Promise.all([lab.join(1), lab.join(2)]);
  await untilMeshed(nodes);
  lab.api.store.create(NAMESPACES, undefined, { metadata: { name: SHOP } });
  const [one, two] = nodes as [Member, Member];
  const parts = [
    await open(lab, one, 'page', program),
    await open(lab, one, 'store', program),
    await open(lab, two, 'database', program),
  ];
  const show = async (what: string, wanted: number): Promise<void> => {
    const found = await until(`${wanted} open ways`, async () => {
      const ways = await open80(parts);
      return ways.length === wanted ? ways : undefined;
    });
    say(`${what}: ${found.join(', ') || 'nobody reaches anybody'}`);
  };
  await show('without policies', 6);
  apply(lab, 'deny-all.yaml');
  await show('deny-all.yaml', 0);
  apply(lab, 'allow.yaml');
  await show('and allow.yaml', 2);
  for (const { prober } of parts) prober.end();
});
