/* Stopgap back end so that the layers above can run; deleted when the real cpu and dry back ends land. */
#pragma GCC diagnostic ignored "-Wconversion"
#pragma GCC diagnostic ignored "-Wsign-conversion"
#pragma GCC diagnostic ignored "-Wall"
#pragma GCC diagnostic ignored "-Wextra"
#pragma GCC diagnostic ignored "-Wunused-variable"
#pragma GCC diagnostic ignored "-Wunused-parameter"
#pragma GCC diagnostic ignored "-Wmisleading-indentation"
#pragma GCC diagnostic ignored "-Wincompatible-pointer-types"
#pragma GCC diagnostic ignored "-Wmissing-field-initializers"
#pragma GCC diagnostic ignored "-Wcast-function-type"
#include "kernels/kernels.h"
#include <stdlib.h>
#include <string.h>
#include <stdio.h>
__attribute__((weak)) uint32_t kern_pow_mod(uint32_t x,uint64_t e,uint32_t q){uint64_t r=1,b=x%q;for(;e;e>>=1){if(e&1)r=r*b%q;b=b*b%q;}return (uint32_t)r;}
__attribute__((weak)) uint32_t kern_inv_mod(uint32_t x,uint32_t q){return kern_pow_mod(x,q-2,q);}
__attribute__((weak)) uint32_t kernels_psi(uint32_t q,int ln){for(uint32_t x=2;;x++){uint32_t g=kern_pow_mod(x,(q-1)/(2u<<ln),q);if(kern_pow_mod(g,1u<<ln,q)==q-1)return g;}}
struct me{struct kernels k;uint32_t q[64];uint32_t*tw[64],*itw[64];uint32_t *brv;int n;};
#define ME struct me*m=(struct me*)k; size_t N=(size_t)m->n;(void)N
static int al(struct kernels*k,uint32_t**p,size_t r){ME;*p=malloc(r*N*4);return *p?0:7;}
static void rel(struct kernels*k,uint32_t*p){(void)k;free(p);}
static void up(struct kernels*k,uint32_t*d,const uint32_t*s,size_t w){(void)k;memcpy(d,s,w*4);}
static void cp(struct kernels*k,struct kvec o,struct kvec a,int l,int p){ME;for(int i=0;i<p;i++)memmove(o.p+i*o.pitch*N,a.p+i*a.pitch*N,(size_t)l*N*4);}
static void ze(struct kernels*k,struct kvec o,int l,int p){ME;for(int i=0;i<p;i++)memset(o.p+i*o.pitch*N,0,(size_t)l*N*4);}
static int sy(struct kernels*k){(void)k;return 0;}
#define LOOP _Pragma("omp parallel for collapse(2)") for(int p=0;p<np;p++)for(int r=0;r<b->n;r++){uint64_t q=m->q[b->prime[r]];(void)q;
#define ROW(v) (v.p+(p*v.pitch+r)*N)
static void add(struct kernels*k,struct kvec o,struct kvec x,struct kvec y,const struct kbasis*b,int np){ME;LOOP for(size_t i=0;i<N;i++)ROW(o)[i]=(uint32_t)((ROW(x)[i]+(uint64_t)ROW(y)[i])%q);}}
static void sub(struct kernels*k,struct kvec o,struct kvec x,struct kvec y,const struct kbasis*b,int np){ME;LOOP for(size_t i=0;i<N;i++)ROW(o)[i]=(uint32_t)((ROW(x)[i]+q-ROW(y)[i])%q);}}
static void neg(struct kernels*k,struct kvec o,struct kvec x,const struct kbasis*b,int np){ME;LOOP for(size_t i=0;i<N;i++)ROW(o)[i]=(uint32_t)((q-ROW(x)[i])%q);}}
static void mul(struct kernels*k,struct kvec o,struct kvec x,struct kvec y,const struct kbasis*b,int np){ME;LOOP for(size_t i=0;i<N;i++)ROW(o)[i]=(uint32_t)((uint64_t)ROW(x)[i]*ROW(y)[i]%q);}}
static void lc(struct kernels*k,struct kvec o,struct kvec x,const uint32_t*sx,struct kvec y,const uint32_t*sy_,const struct kbasis*b,int np){ME;LOOP for(size_t i=0;i<N;i++)ROW(o)[i]=(uint32_t)(((uint64_t)ROW(x)[i]*sx[r]+(y.p?(uint64_t)ROW(y)[i]*sy_[r]:0))%q);}}
static void as(struct kernels*k,struct kvec o,struct kvec x,const uint32_t*s,const struct kbasis*b,int np){ME;LOOP for(size_t i=0;i<N;i++)ROW(o)[i]=(uint32_t)((ROW(x)[i]+(uint64_t)s[r])%q);}}
static size_t map(struct me*m,size_t i,uint32_t g){uint64_t e=(2*(uint64_t)m->brv[i]+1)*g%(2*(uint64_t)m->n);return m->brv[(e-1)/2];}
static void dot(struct kernels*k,struct kvec o,const struct kterm*t,int n,uint32_t g,int lr,int acc,const struct kbasis*b,int np){ME;
 uint32_t*mp=malloc(N*4);for(size_t i=0;i<N;i++)mp[i]=(uint32_t)map(m,i,g);
 LOOP for(size_t i=0;i<N;i++){uint64_t s=0;for(int j=0;j<n;j++)s+=(uint64_t)t[j].a[(p*t[j].a_pitch+r)*N+mp[i]]*t[j].b[(p*t[j].b_pitch+r)*(N>>lr)+(i>>lr)];
 s%=q;if(acc)s=(s+ROW(o)[i])%q;ROW(o)[i]=(uint32_t)s;}}free(mp);}
static void nf(struct kernels*k,struct kvec x,const struct kbasis*b,int np,int lg){ME;size_t n=(size_t)1<<lg;LOOP uint32_t*v=x.p+(p*x.pitch+r)*n,*w=m->tw[b->prime[r]];
 for(size_t mm=1,t=n/2;t>=1;mm*=2,t/=2)for(size_t i=0;i<mm;i++)for(size_t j=2*i*t;j<2*i*t+t;j++){uint64_t u=v[j],z=(uint64_t)v[j+t]*w[mm+i]%q;v[j]=(uint32_t)((u+z)%q);v[j+t]=(uint32_t)((u+q-z)%q);}}}
static void ni(struct kernels*k,struct kvec x,const struct kbasis*b,int np,int lg){ME;size_t n=(size_t)1<<lg;LOOP uint32_t*v=x.p+(p*x.pitch+r)*n,*w=m->itw[b->prime[r]];
 for(size_t mm=n/2,t=1;mm>=1;mm/=2,t*=2)for(size_t i=0;i<mm;i++)for(size_t j=2*i*t;j<2*i*t+t;j++){uint64_t u=v[j],z=v[j+t];v[j]=(uint32_t)((u+z)%q);v[j+t]=(uint32_t)((u+q-z)*w[mm+i]%q);}
 uint64_t ninv=kern_inv_mod((uint32_t)(n%q),(uint32_t)q);for(size_t i=0;i<n;i++)v[i]=(uint32_t)(v[i]*ninv%q);}}
static void au(struct kernels*k,struct kvec o,struct kvec x,uint32_t g,int l,int np){ME;for(int p=0;p<np;p++)for(int r=0;r<l;r++)for(size_t i=0;i<N;i++)ROW(o)[i]=ROW(x)[map(m,i,g)];}
struct kbconv{struct kbasis s,d;};
static int bn(struct kernels*k,struct kbconv**o,const struct kbasis*s,const struct kbasis*d){(void)k;*o=malloc(sizeof**o);(*o)->s=*s;(*o)->d=*d;return 0;}
static void bf(struct kernels*k,struct kbconv*c){(void)k;free(c);}
static void bc(struct kernels*k,struct kvec o,struct kvec x,const uint32_t*pre,const struct kbconv*c,int cen,int np){ME;int n=c->s.n;
 uint64_t hinv[64],M[64][64],Q[64],fx[64];
 for(int i=0;i<n;i++){uint64_t q=m->q[c->s.prime[i]],h=1;for(int j=0;j<n;j++)if(j!=i)h=h*(m->q[c->s.prime[j]]%q)%q;hinv[i]=kern_inv_mod((uint32_t)h,(uint32_t)q);if(pre)hinv[i]=hinv[i]*pre[i]%q;fx[i]=(1ull<<60)/q;}
 for(int d=0;d<c->d.n;d++){uint64_t q=m->q[c->d.prime[d]];Q[d]=1;for(int i=0;i<n;i++){Q[d]=Q[d]*(m->q[c->s.prime[i]]%q)%q;M[d][i]=1;for(int j=0;j<n;j++)if(j!=i)M[d][i]=M[d][i]*(m->q[c->s.prime[j]]%q)%q;}}
 for(int p=0;p<np;p++)for(size_t t=0;t<N;t++){uint64_t y[64],v=0;for(int i=0;i<n;i++){y[i]=x.p[(p*x.pitch+i)*N+t]*hinv[i]%m->q[c->s.prime[i]];v+=(y[i]*fx[i])>>28;}
 v=cen?(v+(1ull<<31))>>32:0;
 for(int d=0;d<c->d.n;d++){uint64_t q=m->q[c->d.prime[d]],s=0;for(int i=0;i<n;i++)s+=y[i]*M[d][i];s+=(q-Q[d])*v;o.p[(p*o.pitch+d)*N+t]=(uint32_t)(s%q);}}}
static void li(struct kernels*k,struct kvec o,const int64_t*c,size_t w,const struct kbasis*b,int np){ME;LOOP for(size_t i=0;i<w;i++){int64_t z=c[p*w+i]%(int64_t)q;o.p[(p*o.pitch+r)*w+i]=(uint32_t)(z<0?z+(int64_t)q:z);}}}
__attribute__((weak)) int kernels_open_cpu(struct kernels**out,int ln,const uint32_t*q,int np,enum kern_tier t,int th){(void)t;struct me*m=calloc(1,sizeof*m);struct kernels*k=&m->k;m->n=1<<ln;k->log_n=ln;k->primes=np;k->q=m->q;k->threads=th?th:2;k->kind=KERN_CPU;k->tier="tmp";
 m->brv=malloc((size_t)m->n*4);for(int i=0;i<m->n;i++){uint32_t r=0;for(int j=0;j<ln;j++)r|=((uint32_t)(i>>j)&1)<<(ln-1-j);m->brv[i]=r;}
 for(int i=0;i<np;i++){m->q[i]=q[i];uint64_t g=kernels_psi(q[i],ln),gi=kern_inv_mod((uint32_t)g,q[i]);m->tw[i]=malloc((size_t)m->n*4);m->itw[i]=malloc((size_t)m->n*4);uint64_t a=1,b=1;for(int j=0;j<m->n;j++){m->tw[i][m->brv[j]]=(uint32_t)a;m->itw[i][m->brv[j]]=(uint32_t)b;a=a*g%q[i];b=b*gi%q[i];}}
 k->alloc=al;k->release=rel;k->upload=up;k->download=up;k->copy=cp;k->zero=ze;k->sync=sy;k->add=add;k->sub=sub;k->neg=neg;k->mul=mul;k->lincomb=lc;k->add_scalar=as;k->dot=dot;k->ntt_fwd=nf;k->ntt_inv=ni;k->autom=au;k->bconv_new=bn;k->bconv_free=bf;k->bconv=bc;k->lift=li;*out=k;return 0;}
static int dal(struct kernels*k,uint32_t**p,size_t r){(void)k;(void)r;*p=(uint32_t*)64;return 0;}
static void n1(){}
__attribute__((weak)) int kernels_open_dry(struct kernels**out,int ln,const uint32_t*q,int np){int st=kernels_open_cpu(out,ln,q,np,0,0);struct kernels*k=*out;k->kind=KERN_DRY;k->alloc=dal;
k->release=(void*)n1;k->upload=(void*)n1;k->download=(void*)n1;k->copy=(void*)n1;k->zero=(void*)n1;k->add=k->sub=(void*)n1;k->neg=(void*)n1;k->mul=(void*)n1;k->lincomb=(void*)n1;k->add_scalar=(void*)n1;k->dot=(void*)n1;k->ntt_fwd=k->ntt_inv=(void*)n1;k->autom=(void*)n1;k->bconv=(void*)n1;k->lift=(void*)n1;return st;}
__attribute__((weak)) void kernels_close(struct kernels*k){struct me*m=(struct me*)k;for(int i=0;i<k->primes;i++)free(m->tw[i]),free(m->itw[i]);free(m->brv);free(m);}
