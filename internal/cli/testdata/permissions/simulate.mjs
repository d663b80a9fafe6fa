// Asks @cloud-copilot/iam-simulate whether policies allow requests. Its directory
// is the argument; policies and requests come as JSON on standard input, and a
// decision on each request goes to standard output.
const { runSimulation } = await import(process.argv[2] + '/@cloud-copilot/iam-simulate/dist/esm/index.js')

let text = ''
for await (const chunk of process.stdin) text += chunk
const { account, principal, policies, requests } = JSON.parse(text)
const identityPolicies = policies.map((policy, i) => ({ name: `p${i}`, policy }))

const answers = []
for (const r of requests) {
  const contextVariables = {}
  for (const [key, values] of Object.entries(r.context ?? {})) {
    contextVariables[key] = values.length === 1 && !r.several?.includes(key) ? values[0] : values
  }
  let out
  try {
    out = await runSimulation({
      request: { principal, action: r.action, resource: { resource: r.resource, accountId: account }, contextVariables },
      identityPolicies, serviceControlPolicies: [], resourceControlPolicies: [],
    }, { simulationMode: 'Strict' })
  } catch (e) {
    out = { resultType: 'error', errors: { message: String(e) } }
  }
  answers.push({
    decision: out.resultType === 'error' ? 'error' : out.overallResult,
    error: out.resultType === 'error' ? JSON.stringify(out.errors) : '',
    ignored: out.resultType === 'single' ? out.result.ignoredContextKeys ?? [] : [],
  })
}
process.stdout.write(JSON.stringify(answers))
