/** Listings of other people's firewalls, as nft 1.0.6 and iptables 1.8.9 print them. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { baseChains, blockedBy, chainRules } from '../../host/chains.ts';
import { forwardRemoval, forwardText, isOurs } from '../../host/forward.ts';
import { legacyBlockedBy, legacyPolicy } from '../../host/legacy.ts';
import type { BaseChain } from '../../host/types.ts';
import { parseUdp } from '../../platform/linux/holder.ts';

const HEADS = `table ip filter {
	chain FORWARD {
		type filter hook forward priority filter; policy drop;
	}
	chain DOCKER {
	}
	chain INPUT {
		type filter hook input priority filter; policy accept;
	}
}
table bridge filter {
	chain FORWARD {
		type filter hook forward priority filter; policy drop;
	}
}
table inet firewalld {
	chain filter_FORWARD {
		type filter hook forward priority filter + 10; policy accept;
	}
	chain nat_POST {
		type nat hook postrouting priority srcnat + 10; policy accept;
	}
}
`;

test('base chains are those of forward and input, never of the bridge family', () => {
  assert.deepEqual(baseChains(HEADS), [
    { family: 'ip', table: 'filter', name: 'FORWARD', hook: 'forward', policy: 'drop' },
    { family: 'ip', table: 'filter', name: 'INPUT', hook: 'input', policy: 'accept' },
    { family: 'inet', table: 'firewalld', name: 'filter_FORWARD', hook: 'forward', policy: 'accept' },
  ]);
});

const chain = (name: string, ...rules: readonly string[]): string =>
  [
    'table ip filter {',
    `\tchain ${name} { # handle 1`,
    ...rules.map((rule, n) => `\t\t${rule} # handle ${n + 2}`),
    '\t}',
    '}',
  ].join('\n');

const FORWARD: BaseChain = {
  family: 'ip',
  table: 'filter',
  name: 'FORWARD',
  hook: 'forward',
  policy: 'drop',
};
const OURS = [
  'iifname "weft*" counter packets 3 bytes 252 accept comment "weft"',
  'oifname "weft*" counter packets 0 bytes 0 accept comment "weft"',
  'oifname "wv*" counter packets 0 bytes 0 accept comment "weft"',
];

test('what is missing is appended, what is there twice goes, and what is in place is left', () => {
  const own = 'type filter hook forward priority filter; policy drop;';
  assert.equal(forwardText(FORWARD, chain('FORWARD', ...OURS)), '');
  assert.equal(
    forwardText(
      FORWARD,
      `${chain('FORWARD', 'counter packets 0 bytes 0 jump DOCKER', OURS[0] ?? '')}\n\t\t${own}`,
    ),
    'add rule ip filter FORWARD oifname "weft*" counter accept comment "weft"\nadd rule ip filter FORWARD oifname "wv*" counter accept comment "weft"\n',
  );
  assert.equal(
    forwardText(FORWARD, chain('FORWARD', ...OURS, OURS[1] ?? '')),
    'delete rule ip filter FORWARD handle 5\n',
  );
});

test('our rules are known again after iptables-save and iptables-restore, which lose the comment for nft', () => {
  const restored = [
    'iifname "weft*"  counter packets 3 bytes 252 accept',
    'oifname "weft*" xt match "comment" counter packets 0 bytes 0 accept',
    'oifname "wv*"  counter packets 0 bytes 0 accept',
  ];
  assert.equal(forwardText(FORWARD, chain('FORWARD', ...restored)), '');
  assert.match(
    forwardRemoval(FORWARD, chain('FORWARD', ...restored)),
    /^(delete rule ip filter FORWARD handle [234]\n){3}$/,
  );
});

test('rules of others are never taken for ours', () => {
  const foreign = [
    'iifname "weft*" counter packets 0 bytes 0 drop',
    'iifname "wg*" counter packets 0 bytes 0 accept comment "weft"',
    'iifname "weft*" tcp dport 22 counter packets 0 bytes 0 accept',
    'counter packets 0 bytes 0 accept comment "weft"',
  ];
  assert.deepEqual(chainRules(chain('FORWARD', ...foreign)).filter(isOurs), []);
});

const lookup =
  (chains: Readonly<Record<string, string>>) =>
  async (name: string): Promise<string> =>
    chains[name] ?? Promise.reject(new Error(`No such file or directory: ${name}`));

test('a rule that drops all before ours is found, also below jumps', async () => {
  const blocked = (...rules: readonly string[]) =>
    blockedBy(
      'FORWARD',
      lookup({
        FORWARD: chain('FORWARD', ...rules, ...OURS, 'counter packets 0 bytes 0 drop'),
        'ufw-reject-forward': chain('ufw-reject-forward', 'counter packets 0 bytes 0 reject'),
        ACCEPTS: chain('ACCEPTS', 'accept', 'drop'),
        RETURNS: chain('RETURNS', 'return', 'drop'),
        'x-logging-forward': chain('x-logging-forward', 'counter packets 0 bytes 0 log prefix "x " drop'),
        DOCKER: chain('DOCKER', 'iifname != "docker0" oifname "docker0" counter packets 0 bytes 0 drop'),
      }),
      isOurs,
    );
  assert.equal(await blocked('ct state established counter packets 0 bytes 0 accept'), undefined);
  assert.equal(await blocked('counter packets 0 bytes 0 jump DOCKER'), undefined);
  assert.equal(
    await blocked('counter packets 9 bytes 9 jump ufw-reject-forward'),
    'ufw-reject-forward: reject',
  );
  assert.equal(await blocked('limit rate 3/minute counter packets 0 bytes 0 drop'), undefined);
  // A match that nft does not know to print.
  assert.equal(await blocked(' counter packets 0 bytes 0 drop'), undefined);
  assert.equal(
    await blocked('log prefix "x " counter packets 1 bytes 1 drop'),
    'FORWARD: log prefix "x " drop',
  );
  assert.equal(
    await blocked('reject with icmpx admin-prohibited'),
    'FORWARD: reject with icmpx admin-prohibited',
  );
  // Names of chains hold words of nft: ufw-before-logging-forward.
  assert.equal(
    await blocked('counter packets 9 bytes 9 jump x-logging-forward'),
    'x-logging-forward: log prefix "x " drop',
  );
  assert.equal(await blocked('goto ufw-reject-forward'), 'ufw-reject-forward: reject');
  assert.equal(await blocked('goto RETURNS', 'reject'), undefined);
  assert.equal(await blocked('jump vanished', 'reject'), 'FORWARD: reject');
  assert.equal(await blocked('counter packets 0 bytes 0 accept', 'reject'), undefined);
  assert.equal(await blocked('counter packets 0 bytes 0 jump ACCEPTS', 'reject'), undefined);
  assert.equal(await blocked('counter packets 0 bytes 0 jump RETURNS', 'reject'), 'FORWARD: reject');
});

const LEGACY = `Chain FORWARD (policy DROP 0 packets, 0 bytes)
 pkts bytes target     prot opt in     out     source               destination         
    0     0 ACCEPT     0    --  *      *       0.0.0.0/0            0.0.0.0/0           UNKNOWN match \`conntrack' 
    0     0 DROP       0    --  eth0   *       0.0.0.0/0            0.0.0.0/0           
`;

test('the same in the words of iptables-legacy', async () => {
  assert.equal(legacyPolicy(LEGACY), 'drop');
  assert.equal(legacyPolicy(LEGACY.replace('DROP', 'ACCEPT')), 'accept');
  const reject =
    '    0     0 REJECT     0    --  *      *       0.0.0.0/0            0.0.0.0/0           [8 bytes of unknown target data]\n';
  const ours =
    '    0     0 ACCEPT     0    --  weft+  *       0.0.0.0/0            0.0.0.0/0            /* weft */\n';
  const blocked = (listing: string) => legacyBlockedBy('FORWARD', lookup({ FORWARD: listing }));
  assert.equal(await blocked(LEGACY), undefined);
  assert.equal(await blocked(LEGACY + reject), 'FORWARD: -j REJECT');
  assert.equal(await blocked(LEGACY + ours + reject), undefined);
  const accept = reject.replace('REJECT', 'ACCEPT').replace(/\[.*\]/, '');
  assert.equal(await blocked(LEGACY + accept + reject), undefined);
});

test('sockets of /proc/net/udp', () => {
  const text = `   sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode ref pointer drops
11056: 00000000:CA6C 00000000:0000 07 00000000:00000000 00:00000000 00000000   101        0 4059482 2 00000000d2015f2d 0
`;
  assert.deepEqual(parseUdp(text), [{ port: 51820, uid: 101, inode: '4059482' }]);
});
