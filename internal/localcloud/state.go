package localcloud

import "github.com/bookctl/bookctl/internal/localcloud/kernel"

// stores is everything that survives a restart, one store per service, each
// defined in its service's file; secrets are in it only encrypted. The live ones
// are what runs behind it and is started anew.
type stores struct {
	ecs     *kernel.Store[ecsState]
	elb     *kernel.Store[elbState]
	ecsLive *kernel.Store[ecsLive]
	elbLive *kernel.Store[elbLive]
}

func newStores(k *kernel.Kernel) stores {
	return stores{
		ecs:     kernel.Saved[ecsState](k, "ecs"),
		elb:     kernel.Saved[elbState](k, "elb"),
		ecsLive: kernel.Live[ecsLive](k),
		elbLive: kernel.Live[elbLive](k),
	}
}

func (c tx) ecs() *ecsState    { return c.stores.ecs.In(c.Tx) }
func (c tx) elb() *elbState    { return c.stores.elb.In(c.Tx) }
func (c tx) ecsLive() *ecsLive { return c.stores.ecsLive.In(c.Tx) }
func (c tx) elbLive() *elbLive { return c.stores.elbLive.In(c.Tx) }
