import type { RequestHandler } from 'express'
import type { Bounds } from '../config/bounds.ts'

/**
 * Closes the connection of a request that was answered before its body had come, a moment after the answer:
 * closed at once, the client would see a broken connection in place of the answer.
 */
export function dropUnreadBodies({ lingerMs }: Pick<Bounds, 'lingerMs'>): RequestHandler {
  return (request, response, next) => {
    response.once('finish', () => {
      if (request.complete) return
      const { socket } = request
      const drop = setTimeout(() => {
        if (!request.complete) socket.destroy()
      }, lingerMs)
      drop.unref()
      request.once('end', () => clearTimeout(drop))
      request.resume()
    })
    next()
  }
}
