import react from '@vitejs/plugin-react'
import { defineConfig } from 'vite'

const api = 'http://127.0.0.1:3000'

export default defineConfig({
  plugins: [react()],
  server: { host: '127.0.0.1', proxy: { '/v1': api, '/store': api } },
  // Nothing is inlined: the page runs under a CSP without 'unsafe-inline'.
  build: { outDir: 'dist', emptyOutDir: true, assetsInlineLimit: 0 },
})
