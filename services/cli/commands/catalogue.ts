import type { Command } from 'commander'

/** One command: what help says of it without loading it, and the module that adds its options and its action. */
export interface CommandEntry {
  name: string
  aliases?: readonly string[]
  description: string
  load: () => Promise<{ configure: (command: Command) => void }>
}

/** Every command, in the order of help. */
export const catalogue: readonly CommandEntry[] = [
  { name: 'up', description: 'start the stack on this host', load: () => import('./up.ts') },
  { name: 'down', description: 'stop the stack; running containers stay', load: () => import('./down.ts') },
  { name: 'info', description: 'show where this stack is and how it does', load: () => import('./info.ts') },
  {
    name: 'doctor',
    description: 'check the host, or list what was left on it',
    load: () => import('./doctor.ts'),
  },
  { name: 'run', description: 'create and start a container', load: () => import('./run.ts') },
  {
    name: 'create',
    description: 'create a container without starting it',
    load: () => import('./create.ts'),
  },
  { name: 'start', description: 'start created or stopped containers', load: () => import('./start.ts') },
  { name: 'stop', description: 'stop containers: signal, wait, kill', load: () => import('./stop.ts') },
  { name: 'kill', description: 'send a signal to containers', load: () => import('./kill.ts') },
  { name: 'rm', description: 'delete containers', load: () => import('./rm.ts') },
  { name: 'ps', description: 'list containers', load: () => import('./ps.ts') },
  { name: 'inspect', description: 'show everything known of containers', load: () => import('./inspect.ts') },
  { name: 'exec', description: 'run a command in a running container', load: () => import('./exec.ts') },
  { name: 'logs', description: 'print what a container wrote', load: () => import('./logs.ts') },
  { name: 'cp', description: 'copy files from or to a container', load: () => import('./cp.ts') },
  {
    name: 'wait',
    description: 'wait until containers stop and print their exit codes',
    load: () => import('./wait.ts'),
  },
  { name: 'pause', description: 'freeze containers', load: () => import('./pause.ts') },
  { name: 'unpause', description: 'thaw paused containers', load: () => import('./unpause.ts') },
  { name: 'events', description: 'print the log of events', load: () => import('./events.ts') },
  {
    name: 'profile',
    description: 'show where the time of a launch or a deletion went',
    load: () => import('./profile.ts'),
  },
  {
    name: 'saga',
    description: 'see to launches and deletions that are stuck',
    load: () => import('./saga.ts'),
  },
  { name: 'system', description: 'run the stack by systemd', load: () => import('./system.ts') },
  { name: 'join', description: 'join this host to a bus elsewhere', load: () => import('./join.ts') },
  { name: 'node', description: 'list the hosts, and see to them', load: () => import('./node.ts') },
  { name: 'bus', description: 'see to the bus and its users', load: () => import('./bus.ts') },
  { name: 'image', description: 'import, list and remove images', load: () => import('./image.ts') },
  { name: 'volume', description: 'make, list and remove volumes', load: () => import('./volume.ts') },
  { name: 'images', description: 'list images', load: () => import('./images.ts') },
  { name: 'schema', description: 'print the JSON Schema of a message', load: () => import('./schema.ts') },
  {
    name: 'completion',
    description: 'print a shell completion script',
    load: () => import('./completion.ts'),
  },
]
