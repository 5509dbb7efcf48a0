import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import type { RootImage } from './root-image.ts'

const qemu = 'qemu-system-x86_64'
/** Software emulation everywhere: KVM in a machine that is itself virtual stops some hosts dead. */
const accelerator = process.env['DOLLY_VM_ACCEL'] || 'tcg,thread=multi'

export interface MachineOptions {
  image: RootImage
  /** The tar that the guest unpacks over its project. */
  project: string
  /** The disk of the root: a copy that keeps what is written, or by default one that forgets it at the end. */
  disk?: string
  /** File that takes the kernel's console. */
  consoleLog: string
  /** Called with what the task writes, as it comes. */
  onOutput: (text: string) => void
  limitMs: number
}

const drive = (id: string, file: string, options: string): string[] => [
  '-drive',
  `file=${file},format=raw,if=none,id=${id},${options}`,
  '-device',
  `virtio-blk-pci,drive=${id},serial=${id}`,
]

/** No wait of systemd for a device may end before an emulated processor on a busy host has found it. */
const patience = 'systemd.default_timeout_start_sec=1800'
/** The kernel's tests of its own ciphers never ended in some boots: an emulated processor was stuck in one of them. */
const noTests = 'cryptomgr.notests'
const kernelOptions = `root=/dev/vda rw console=ttyS0 quiet systemd.show_status=0 panic=-1 mitigations=off ${noTests} ${patience}`

const argumentsFor = ({ image, project, disk, consoleLog }: MachineOptions): string[] =>
  [
    ['-nodefaults', '-no-user-config', '-display', 'none', '-monitor', 'none', '-no-reboot'],
    ['-M', 'q35', '-cpu', 'max', '-smp', '2', '-m', '3G', '-accel', accelerator],
    ['-kernel', image.kernel, '-initrd', image.initrd, '-append', kernelOptions],
    drive('root', disk ?? image.disk, disk ? 'cache=writeback' : 'snapshot=on'),
    drive('project', project, 'readonly=on'),
    ['-serial', `file:${consoleLog}`, '-device', 'virtio-serial'],
    ['-chardev', 'stdio,id=out,signal=off', '-device', 'virtserialport,chardev=out,name=dolly'],
  ].flat()

/** The machine, from power on to power off. It ends with this process, however this process ends. */
export const startMachine = (options: MachineOptions) => {
  // Its standard input stays open: at its end, qemu would take the port for disconnected and hold the guest up.
  const child: ChildProcess = spawn('setpriv', ['--pdeathsig', 'KILL', qemu, ...argumentsFor(options)], {
    stdio: ['pipe', 'pipe', 'inherit'],
  })
  child.stdout?.setEncoding('utf8').on('data', options.onOutput)
  let isCut = false
  const kill = () => void child.kill('SIGKILL')
  const limit = setTimeout(kill, options.limitMs)
  const ended = once(child, 'close').finally(() => clearTimeout(limit))
  return {
    /** Takes its power away, in the middle of whatever it does. */
    powerOff: () => {
      isCut = true
      kill()
    },
    /** Whether its power was taken away. */
    isCut: () => isCut,
    /** Resolves when it is off. */
    ended,
    [Symbol.asyncDispose]: async () => {
      kill()
      await ended
    },
  }
}
