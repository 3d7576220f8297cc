/** Two clouds that both use 10.0.0.0/24: inside a cloud by private addresses, between them by public ones. */
import { type Lab, type Member, podCidrs, untilMeshed } from '../../test/lab/lab.ts';
import { newSite, type Site } from '../../test/lab/site.ts';
import { paths, podOnEach, runExample, untilAllReach } from '../run.ts';

type Machine = {
  readonly number: number;
  readonly region: string;
  /** Last part of its private address. */
  readonly host: number;
  readonly public: string;
};

const MACHINES: readonly Machine[] = [
  { number: 1, region: 'fra', host: 1, public: '192.0.2.11' },
  { number: 2, region: 'fra', host: 2, public: '192.0.2.12' },
  { number: 3, region: 'nyc', host: 1, public: '192.0.2.21' },
  { number: 4, region: 'nyc', host: 2, public: '192.0.2.22' },
];

/** As the cloud's controller makes it: region, private and public address. */
const nodeObject = ({ number, region, host, public: external }: Machine) => ({
  metadata: { name: `node${number}`, labels: { 'topology.kubernetes.io/region': region } },
  spec: { podCIDR: podCidrs(number)[0], podCIDRs: podCidrs(number) },
  status: {
    addresses: [
      { type: 'InternalIP', address: `10.0.0.${host}` },
      { type: 'ExternalIP', address: external },
    ],
  },
});

const cloud = (region: string, router: string): Promise<Site> =>
  newSite({
    name: region,
    public: router,
    network: '10.0.0',
    oneToOne: Object.fromEntries(
      MACHINES.filter(m => m.region === region).map(m => [`10.0.0.${m.host}`, m.public]),
    ),
  });

const join = (lab: Lab, clouds: ReadonlyMap<string, Site>, machine: Machine): Promise<Member> =>
  lab.join(machine.number, {
    plug: host => (clouds.get(machine.region) as Site).plug(host, machine.host),
    object: () => nodeObject(machine),
  });

await runExample(import.meta.filename, async ({ lab, say }) => {
  const clouds = new Map([
    ['fra', await cloud('fra', '192.0.2.10')],
    ['nyc', await cloud('nyc', '192.0.2.20')],
  ]);
  say('two clouds, two nodes in each; both clouds use 10.0.0.0/24');
  const members = await Promise.all(MACHINES.map(machine => join(lab, clouds, machine)));
  await untilMeshed(members, 30_000);
  const answered = await untilAllReach(await podOnEach(members));
  say(`every pod reaches every other pod: ${answered} of ${answered} pings answered`);
  for (const line of await paths(members)) say(line);
});
