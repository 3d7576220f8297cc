/** The fake kernel keeps the contract that the real one keeps (test/platform/kernel.netns.test.ts). */
import { openFake } from '../../platform/linux/fake.ts';
import { kernelContract } from './kernel.ts';

kernelContract('fake', () => {
  const kernel = openFake();
  return {
    kernel,
    addVeth: async name => {
      kernel.plug(name, 'veth');
      kernel.plug(`${name}p`, 'veth');
      await kernel.links.change(`${name}p`, { up: true });
    },
  };
});
