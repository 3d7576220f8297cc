/** `weft explain`: the way of a packet between two pods or to a Service, step by step, and what policies say of it. */

import type { Client } from '../discovery/client.ts';
import { type Explanation, explainAll } from './explanation.ts';
import { parseOptions, WHERE_USAGE } from './options.ts';
import { type Paint, painter } from './paint.ts';
import type { End } from './route.ts';
import { servicesOf } from './services.ts';
import { list, may, number, object, oneOf, ref, said, string } from './shape.ts';
import { judgement } from './shapes/answers.ts';
import { wrap } from './table.ts';
import { parseTarget } from './target.ts';
import { EXIT, type Io, UsageError, type Verb } from './types.ts';

const endText = ({ ip, pod, node }: End): string =>
  `${pod === undefined ? ip : `${pod} (${ip})`}${node === undefined ? '' : ` on ${node}`}`;

const VERDICTS = {
  arrives: ['it arrives', 'established'],
  lost: ['it does NOT arrive', 'failed'],
  denied: ['a policy denies it', 'failed'],
  unknown: ['not all could be looked at', 'pending'],
} as const;

const MARKS = {
  ok: ['ok  ', 'established'],
  lost: ['LOST', 'failed'],
  unknown: ['?   ', 'pending'],
} as const;

const stepLines = ({ steps }: Explanation, paint: Paint, width: number | undefined): readonly string[] =>
  steps.map(({ node, result, what }) => {
    const [mark, color] = MARKS[result];
    return `  ${paint(mark, color)}  ${wrap(`${node}: ${what}`, width, 8)}`;
  });

/** Of a Service whose backends do not all fare alike, how many fare well. */
function verdictText({ verdict, backends = [] }: Explanation, paint: Paint): string {
  const [words, color] = VERDICTS[verdict];
  const good = backends.filter(b => b.verdict === 'arrives').length;
  const mixed = good > 0 && good < backends.length;
  return paint(mixed ? `it arrives at ${good} of ${backends.length} backends only` : words, color);
}

const headline = (e: Explanation, to: string, paint: Paint): string =>
  `${to}, ${e.port === undefined ? 'ping' : `${e.protocol} ${e.port}`}: ${verdictText(e, paint)}`;

function text(e: Explanation, io: Io): string {
  const paint = painter(io.color);
  const width = io.width === undefined ? undefined : io.width - 2;
  const policyLines = ({ policy }: Explanation) => policy.words.map(line => `  ${wrap(line, width, 4)}`);
  const to = e.service === undefined ? endText(e.to) : `Service ${e.service.name} (${e.to.ip})`;
  const head = [headline(e, `${endText(e.from)} → ${to}`, paint), '', 'way', ...stepLines(e, paint, width)];
  const rest =
    e.backends === undefined
      ? ['', 'policy', ...policyLines(e)]
      : e.backends.flatMap(b => [
          '',
          `backend ${headline(b, endText(b.to), paint)}`,
          ...stepLines(b, paint, width),
          ...policyLines(b),
        ]);
  return `${[...head, ...rest].join('\n')}\n`;
}

const end = object({
  ip: string,
  pod: may(said(string, 'NAMESPACE/NAME')),
  node: may(said(string, 'of whose pod network the address is')),
  link: may(said(string, 'host end of the pod’s veth')),
  host: may(said(string, 'the node whose own address it is')),
});

const shape = object({
  from: end,
  to: end,
  protocol: oneOf('TCP', 'UDP', 'SCTP', 'ICMP'),
  port: may(number),
  verdict: said(oneOf('arrives', 'lost', 'denied', 'unknown'), 'of a Service the worst of its backends’'),
  steps: list(object({ node: string, result: oneOf('ok', 'lost', 'unknown'), what: string })),
  policy: judgement,
  service: may(said(object({ name: string, type: string, endpoints: number }), 'where TO is a Service')),
  backends: may(said(list(ref<Explanation>('#', 'Explanation')), 'of a Service the same for each')),
});

export const explain: Verb = {
  name: 'explain',
  summary: 'the way of a packet between two pods or to a Service, and what policies say of it',
  usage: `  {weft} explain FROM TO[:PORT[/PROTOCOL]] [OPTIONS]

  FROM, TO              POD, NAMESPACE/POD, or an address
  TO                    also svc/NAME, svc/NAMESPACE/NAME, NAME.NAMESPACE.svc or the address of a Service
  PORT, PROTOCOL        as in web-0:80, dns:53/udp, svc/web:http, [fd42::7]:443 (default tcp; without a
                        port: ping; a Service's only port needs not be said)
  -o, --output json     for programs
${WHERE_USAGE}

What policies say is what the agents know of them. On a node only that node's pods are known by name,
and others by their address. Nothing is sent.
Services are looked up at the API server with your kubeconfig, also on a node: your user needs get on
services and list on endpointslices in the Service's namespace, and list on services everywhere where
an address is asked about. To each backend that kube-proxy may choose the way is shown, up to 20.
Exit code 1: it does not arrive, at one backend at least, or not all could be looked at.`,
  shape,
  run: async (args, io) => {
    const { where, json, positionals } = parseOptions(args);
    const [source, target, ...rest] = positionals;
    if (source === undefined || target === undefined || rest.length > 0)
      throw new UsageError('say two ends, as in: explain web-0 db-0:5432, or explain web-0 svc/db');
    const ends = { source: parseTarget(source), target: parseTarget(target) };
    const agents = await io.agents(where);
    let client: Promise<Client> | undefined;
    const services = async () => {
      client ??= io.client(where);
      return servicesOf(await client);
    };
    try {
      const found = await explainAll({ agents, node: where.node, services, ...ends });
      io.out(json ? `${JSON.stringify(found, undefined, 2)}\n` : text(found, io));
      return found.verdict === 'arrives' ? EXIT.ok : EXIT.trouble;
    } finally {
      agents.close();
      client?.then(
        opened => opened.close(),
        () => {},
      );
    }
  },
};
