import type { ContainerPlan } from './bundle.ts'
import { hostBind } from './host-binds.ts'
import type { Operation } from './operation.ts'

/** From then on the ids on disk are those inside the user namespace. */
export const idmapped = (slot: string, user: string | undefined): Operation[] =>
  user === undefined ? [] : [['idmap', slot, user]]

/** The container's volumes and binds: idmapped as its root is, so that all containers see the same ids in them. */
export const guestMounts = (
  { mounts, volumes, id }: ContainerPlan,
  { bindAllow, slot, user }: { bindAllow: readonly string[]; slot: () => string; user: string | undefined },
): { opened: Operation[]; placed: Operation[] } => {
  const made = mounts.map((mount) => {
    const number = slot()
    const tree = (): Operation => {
      if (mount.type === 'volume') return ['tree', number, volumes[mount.source] ?? '', 'single']
      const { allowed, path } = hostBind(id, mount, bindAllow)
      return ['tree-beneath', number, allowed, path]
    }
    const attributes = ['nosuid', 'nodev', ...(mount.options.includes('ro') ? ['ro'] : [])].join(',')
    const place: Operation = ['bind', number, mount.destination, attributes, 'same', 'apart']
    return { opened: [tree(), ...idmapped(number, user)], place }
  })
  return { opened: made.flatMap(({ opened }) => opened), placed: made.map(({ place }) => place) }
}
