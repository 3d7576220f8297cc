import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { fails, type Subject, upLink } from './kernel.helpers.ts';

export function sysctlCases(subject: Subject): void {
  const { kernel } = subject;
  const { sysctls, links } = kernel;
  describe('sysctls', () => {
    test('what is written is read, without the newline', async () => {
      for (const value of ['0', '1']) {
        await sysctls.write('ipv4/ip_forward', value);
        assert.equal(await sysctls.read('ipv4/ip_forward'), value);
      }
    });

    test('each link has its own, which go with it', async () => {
      await upLink(subject, 'd0');
      for (const key of ['ipv4/conf/d0/rp_filter', 'ipv6/conf/d0/accept_ra']) {
        assert.match((await sysctls.read(key)) ?? '', /^\d$/);
        await sysctls.write(key, '2');
        assert.equal(await sysctls.read(key), '2');
      }
      await links.remove('d0');
      assert.equal(await sysctls.read('ipv4/conf/d0/rp_filter'), undefined);
      await fails(sysctls.write('ipv4/conf/d0/rp_filter', '1'), 'ENOENT', 'EACCES');
    });

    test('a key that the kernel does not know', async () => {
      assert.equal(await sysctls.read('ipv4/no_such_key'), undefined);
      await fails(sysctls.write('ipv4/no_such_key', '1'), 'ENOENT', 'EACCES');
    });

    test('a value that the kernel refuses', async () => {
      await fails(sysctls.write('ipv4/ip_forward', 'yes'), 'EINVAL');
    });
  });
}
