/**
 * A rule set, and the difference of two, as nft's text. One table of our own, in the forward hook at
 * priority filter: destination NAT has happened, masquerading has not. Traffic between a node and its
 * own pods never comes here. Pure.
 */
import { POLICY_TABLE } from '../constants.ts';
import type { Family } from '../ip.ts';
import { setNames, setsOf } from './elements.ts';
import { denyChain, FAMILIES, mapName, rulesOf, selfName, tableOf } from './table.ts';
import type { Chain, Direction, ElementText, Operation, RuleSet, Table } from './types.ts';

const NAME = `inet ${POLICY_TABLE}`;
const ADDRESS = { 4: 'ipv4_addr', 6: 'ipv6_addr' } as const;
const IP = { 4: 'ip', 6: 'ip6' } as const;

/** Set of own pods' addresses, each with a counter of what was dropped; filled by the kernel. */
export const droppedSet = (direction: Direction, family: Family): string => `dropped-${direction}${family}`;

/** Of TCP connections that were cut: source, its port, destination, its port, as their answers are sent. */
export const cutSet = (family: Family): string => `cut${family}`;

/** The same of UDP and SCTP, the protocol first. */
export const cutFlowSet = (family: Family): string => `cut-flow${family}`;

const familyIn = (set: string): Family => (set.endsWith('6') ? 6 : 4);

/** Declaration of a class's set, from its name. */
function declaration(set: string): string {
  const address = ADDRESS[familyIn(set)];
  if (set.endsWith('-port')) return 'type inet_proto . inet_service';
  if (/-peer[46]$/.test(set)) return `type ${address}`;
  const type = `type ${address} . inet_proto . inet_service`;
  return /-box[46]$/.test(set) ? `${type}; flags interval` : type;
}

/** A line has a bounded length: nft's scanner reads the text token by token all the same. */
const PER_LINE = 1_000;

function chunks<T>(list: readonly T[]): readonly (readonly T[])[] {
  return Array.from({ length: Math.ceil(list.length / PER_LINE) }, (_, n) =>
    list.slice(n * PER_LINE, (n + 1) * PER_LINE),
  );
}

const elementLines = (verb: 'add' | 'delete', set: string, elements: readonly string[]): readonly string[] =>
  chunks(elements).map(chunk => `${verb} element ${NAME} ${set} { ${chunk.join(', ')} }`);

const sorted = (elements: Iterable<ElementText>): readonly ElementText[] => [...elements].sort();

/** Where the direction's own pod stands in a packet. */
const OWN = { ingress: 'daddr', egress: 'saddr' } as const;

/** Sets of what was dropped of late, filled by the kernel: flows, and where there are no ports, pairs. */
export const deniedSets = (family: Family): readonly [flows: string, pairs: string] => [
  `denied${family}`,
  `denied-pairs${family}`,
];

/** Full sets, and flows that are in them already, cost a lookup and say nothing. */
const REMEMBERED = 'size 1024; flags dynamic,timeout; timeout 1m';
const WITH_PORTS = '{ tcp, udp, sctp }';

const deniedDeclarations = FAMILIES.flatMap(f => {
  const [flows, pairs] = deniedSets(f);
  const addresses = `${ADDRESS[f]} . ${ADDRESS[f]} . inet_proto`;
  return [
    `  set ${flows} { type ${addresses} . inet_service; ${REMEMBERED}; }`,
    `  set ${pairs} { type ${addresses}; ${REMEMBERED}; }`,
  ];
});

const rememberLines = FAMILIES.flatMap(f => {
  const [flows, pairs] = deniedSets(f);
  const key = `${IP[f]} saddr . ${IP[f]} daddr . meta l4proto`;
  return [
    `    meta l4proto ${WITH_PORTS} add @${flows} { ${key} . th dport }`,
    `    meta l4proto != ${WITH_PORTS} add @${pairs} { ${key} }`,
  ];
});

function denyLines(direction: Direction, remember: readonly string[]): readonly string[] {
  const own = OWN[direction];
  return [
    `  chain ${denyChain(direction)} {`,
    ...FAMILIES.map(f => `    ${IP[f]} saddr . ${IP[f]} daddr @${selfName(f)} return`),
    ...FAMILIES.map(f => `    update @${droppedSet(direction, f)} { ${IP[f]} ${own} }`),
    ...remember,
    '    counter drop',
    '  }',
  ];
}

const DIRECTIONS = ['egress', 'ingress'] as const;

const each = (make: (direction: Direction, family: Family) => readonly string[]): readonly string[] =>
  DIRECTIONS.flatMap(direction => FAMILIES.flatMap(family => make(direction, family)));

const frameOf = (log: boolean, remember = log ? rememberLines : []): readonly string[] => [
  ...(log ? deniedDeclarations : []),
  ...each((direction, f) => [`  map ${mapName(direction, f)} {`, `    type ${ADDRESS[f]} : verdict`, '  }']),
  ...FAMILIES.flatMap(f => [`  set ${selfName(f)} {`, `    type ${ADDRESS[f]} . ${ADDRESS[f]}`, '  }']),
  ...each((direction, f) => [
    `  set ${droppedSet(direction, f)} {`,
    `    type ${ADDRESS[f]}; size 65535; flags dynamic; counter`,
    '  }',
  ]),
  ...FAMILIES.flatMap(f => [
    `  set ${cutSet(f)} {`,
    `    type ${ADDRESS[f]} . inet_service . ${ADDRESS[f]} . inet_service; size 65535; timeout 1h`,
    '  }',
    `  set ${cutFlowSet(f)} {`,
    `    type inet_proto . ${ADDRESS[f]} . inet_service . ${ADDRESS[f]} . inet_service; size 65535; timeout 2m`,
    '  }',
  ]),
  ...DIRECTIONS.flatMap(direction => denyLines(direction, remember)),
  '  chain pending {',
  ...remember,
  '    counter drop',
  '  }',
];

/**
 * The kernel takes a packet from the middle of a connection for the first of a new one. When the answering
 * end of one that was cut speaks first, it would come back as a connection the other way round. What begins
 * a TCP connection can be told; of the others both ends' ports are kept apart for as long as the kernel would
 * remember a silent one.
 */
const cutLines = [
  ...FAMILIES.map(
    f =>
      `    tcp flags & (fin | syn | rst | ack) != syn ${IP[f]} saddr . tcp sport . ${IP[f]} daddr . tcp dport @${cutSet(f)} drop`,
  ),
  ...FAMILIES.map(
    f => `    meta l4proto . ${IP[f]} saddr . th sport . ${IP[f]} daddr . th dport @${cutFlowSet(f)} drop`,
  ),
];

const hook: readonly string[] = [
  '  chain forward {',
  '    type filter hook forward priority filter; policy accept;',
  '    ct state established,related accept',
  ...cutLines,
  ...each((direction, f) => [`    ${IP[f]} ${OWN[direction]} vmap @${mapName(direction, f)}`]),
  '  }',
];

const setLines = (chain: Chain): readonly string[] =>
  setNames(chain).map(set => `  set ${set} { ${declaration(set)}; }`);

const chainLines = (chain: Chain): readonly string[] => [
  `  chain ${chain.id} {`,
  ...rulesOf(chain).map(rule => `    ${rule}`),
  '  }',
];

const fill = (table: Table): readonly string[] => [
  ...[...table.sets].flatMap(([set, elements]) => elementLines('add', set, sorted(elements))),
  ...[...table.maps].flatMap(([map, targets]) =>
    elementLines(
      'add',
      map,
      [...targets].map(([ip, target]) => `${ip} : jump ${target}`),
    ),
  ),
];

/**
 * The whole table, in one transaction in place of the one that there may be. `log`: what is dropped is
 * remembered for a minute.
 */
export function renderTable(rules: RuleSet, log = false): string {
  const chains = [...rules.chains.values()];
  return [
    `table ${NAME}`,
    `delete table ${NAME}`,
    `table ${NAME} {`,
    ...frameOf(log),
    ...chains.flatMap(setLines),
    ...chains.flatMap(chainLines),
    ...hook,
    '}',
    ...fill(tableOf(rules)),
    '',
  ].join('\n');
}

function addChain(chain: Chain): readonly string[] {
  const sets = [...setsOf(chain)];
  return [
    ...sets.flatMap(([set]) => [
      `add set ${NAME} ${set} { ${declaration(set)}; }`,
      `flush set ${NAME} ${set}`,
    ]),
    ...sets.flatMap(([set, elements]) => elementLines('add', set, sorted(elements))),
    `add chain ${NAME} ${chain.id}`,
    `flush chain ${NAME} ${chain.id}`,
    ...rulesOf(chain).map(rule => `add rule ${NAME} ${chain.id} ${rule}`),
  ];
}

function operationLines(operation: Operation): readonly string[] {
  switch (operation.kind) {
    case 'addChain':
      return addChain(operation.chain);
    case 'deleteElements':
      return elementLines('delete', operation.set, operation.elements);
    case 'addElements':
      return elementLines('add', operation.set, operation.elements);
    case 'bind':
      return [
        ...(operation.from === undefined ? [] : elementLines('delete', operation.map, [operation.ip])),
        ...(operation.to === undefined
          ? []
          : elementLines('add', operation.map, [`${operation.ip} : jump ${operation.to}`])),
      ];
    case 'deleteChain':
      return [
        `delete chain ${NAME} ${operation.id}`,
        ...operation.sets.map(set => `delete set ${NAME} ${set}`),
      ];
  }
}

/** One transaction; empty text where there is nothing to do. */
export const renderOperations = (operations: readonly Operation[]): string =>
  operations
    .flatMap(operationLines)
    .map(line => `${line}\n`)
    .join('');
