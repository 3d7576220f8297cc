/** Tables like those of kube-proxy in nftables mode: what weft has to live beside. */

const chains = (n: number): string => {
  const service = `10.96.${n >> 8}.${n & 255}`;
  const endpoint = `10.42.${200 + (n % 50)}.${2 + (n % 250)}`;
  return [
    `  chain endpoint-${n} {`,
    `    ip saddr ${endpoint} jump mark-for-masquerade`,
    `    meta l4proto tcp dnat to ${endpoint}:8080`,
    '  }',
    `  chain service-${n} {`,
    `    ip daddr ${service} tcp dport 80 ip saddr != 10.42.0.0/16 jump mark-for-masquerade`,
    `    numgen random mod 1 vmap { 0 : goto endpoint-${n} }`,
    '  }',
  ].join('\n');
};

/** `count` Services of one endpoint each. */
export function serviceTable(count: number): string {
  const numbers = Array.from({ length: count }, (_, n) => n + 1);
  const elements = numbers.map(n => `10.96.${n >> 8}.${n & 255} . tcp . 80 : goto service-${n}`);
  return [
    'table ip kube-proxy {',
    '  chain mark-for-masquerade {',
    '    mark set mark or 0x4000',
    '  }',
    ...numbers.map(chains),
    '  map service-ips {',
    '    type ipv4_addr . inet_proto . inet_service : verdict',
    `    elements = { ${elements.join(', ')} }`,
    '  }',
    '  chain nat-prerouting {',
    '    type nat hook prerouting priority dstnat; policy accept;',
    '    ip daddr . meta l4proto . th dport vmap @service-ips',
    '  }',
    '}',
    '',
  ].join('\n');
}
