// What the scripts share: the org to talk to, and steps that each print how they ended.

export const sandbox = JSON.parse(process.env.SANDBOX)
export const person = (role) => sandbox.users.find((user) => user.role === role)

const slow = 30_000

/** Does one thing. What it throws, or takes too long over, is told and doesn't keep the next from being tried. */
export async function step(name, act) {
  let wrong = ''
  let timer
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`not done after ${slow} ms`)), slow)
  })
  try {
    await Promise.race([act(), late])
  } catch (e) {
    wrong = `${e?.errorCode ?? e?.name ?? ''}: ${e?.message ?? e}`
  }
  clearTimeout(timer)
  console.log(JSON.stringify({ step: name, wrong }))
}
