import { randomBytes } from 'node:crypto'
import { chmod, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { run } from '../../shared/recorder.ts'

export interface Certificate {
  cert: string
  key: string
}

const openssl = (args: string[]): Promise<string> => run('openssl', args, { timeoutMs: 30_000 })

const newKey = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes']

/** An authority of its own in the directory, valid for a day, that signs what a test needs. */
export const certificateAuthority = async (directory: string, name: string) => {
  const at = (file: string) => join(directory, file)
  const ca = { cert: at(`${name}.pem`), key: at(`${name}.key`) }
  const self = ['req', '-x509', ...newKey, '-days', '1', '-subj', `/CN=${name}`]
  await openssl([...self, '-keyout', ca.key, '-out', ca.cert])
  return {
    ca: ca.cert,
    /** Signs a certificate for the loopback address, for servers and clients alike. */
    sign: async (subject: string): Promise<Certificate> => {
      const [cert, key, request, extensions] = ['pem', 'key', 'csr', 'ext'].map((kind) =>
        at(`${name}-${subject}.${kind}`),
      ) as [string, string, string, string]
      await openssl(['req', ...newKey, '-subj', `/CN=${subject}`, '-keyout', key, '-out', request])
      await writeFile(extensions, 'subjectAltName=IP:127.0.0.1\n')
      // A number of its own each: a file that counts them is not made for several at once.
      const serial = `0x${randomBytes(8).toString('hex')}`
      const signing = ['-CA', ca.cert, '-CAkey', ca.key, '-set_serial', serial, '-days', '1']
      await openssl(['x509', '-req', '-in', request, ...signing, '-extfile', extensions, '-out', cert])
      await chmod(key, 0o600)
      return { cert, key }
    },
  }
}
